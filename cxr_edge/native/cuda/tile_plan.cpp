#include <algorithm>

#include "arguments.h"
#include "tile_job.h"

namespace cxr_edge {
namespace {

// Most lanes that add up one output pixel's columns: their sums are added by a single thread in the end.
constexpr uint32_t max_column_lanes_log2 = 4;

// 0, 1 or 2: a warp's 32 threads always read one row side by side, 512 bytes of it. Four groups of four rows in flight
// cover the 13 or 14 rows that an output row of a detector's frame has.
uint32_t row_groups_log2_of(const TileJob &job) {
  const uint32_t rows = job.height / job.out_height;
  return rows >= 8 ? 2 : rows >= 4 ? 1 : 0;
}

// How many output pixels a block takes: as many as have their columns inside what its threads read at once, and one
// where even that is too wide.
uint32_t tile_width_of(const TileJob &job, uint32_t pixels_per_thread) {
  const uint32_t columns_at_once = (block_threads >> job.row_groups_log2) * pixels_per_thread;
  // A tile of n pixels has at most n * width / out_width + 2 columns and begins up to pixels_per_thread - 1 later
  // than its first load.
  const uint64_t usable = columns_at_once - pixels_per_thread - 1;
  const uint64_t fitting = usable * job.out_width / job.width;
  return static_cast<uint32_t>(std::clamp<uint64_t>(fitting, 1, std::min(block_threads, job.out_width)));
}

uint32_t column_lanes_log2_of(const TileJob &job, uint32_t tile_width) {
  const uint32_t columns = std::max(1u, job.width / job.out_width);
  uint32_t log2 = 0;
  while (log2 < max_column_lanes_log2 && (2u << log2) <= columns && (tile_width << (log2 + 1)) <= block_threads) ++log2;
  return log2;
}

// A load must not straddle its own size; rows begin wherever the stride puts them.
uint32_t unit_bytes_of(const cxr_edge_frame &frame) {
  const uintptr_t alignment = reinterpret_cast<uintptr_t>(frame.pixels) | frame.row_stride;
  for (const uint32_t bytes : {16u, 4u}) {
    if (alignment % bytes == 0) return bytes;
  }
  return static_cast<uint32_t>(bytes_per_pixel(frame.pixel_type));
}

void place_crop(TileJob &job, const cxr_edge_frame &frame, const cxr_edge_recipe &recipe) {
  const size_t size = bytes_per_pixel(frame.pixel_type);
  const size_t left = recipe.crop_left * size;
  job.pixels = static_cast<const unsigned char *>(frame.pixels) + recipe.crop_top * frame.row_stride +
               (left - left % bytes_per_thread);
  job.row_stride = frame.row_stride;
  job.skew = static_cast<uint32_t>(left % bytes_per_thread / size);
  job.height = recipe.crop_height;
  job.width = recipe.crop_width;
}

}  // namespace

TilePlan plan_tiles(const cxr_edge_frame &frame, const cxr_edge_recipe &recipe, float *out, uint32_t out_height,
                    uint32_t out_width) {
  TileJob job{};
  place_crop(job, frame, recipe);
  job.out_height = out_height;
  job.out_width = out_width;
  job.row_groups_log2 = row_groups_log2_of(job);
  const auto pixels_per_thread = static_cast<uint32_t>(bytes_per_thread / bytes_per_pixel(frame.pixel_type));
  const uint32_t tile_width = tile_width_of(job, pixels_per_thread);
  job.tiles = (out_width + tile_width - 1) / tile_width;
  job.column_lanes_log2 = column_lanes_log2_of(job, tile_width);
  job.by_out_height = ExactDivision(out_height);
  job.by_out_width = ExactDivision(out_width);
  job.by_tiles = ExactDivision(job.tiles);
  job.rule = pixel_rule(recipe, frame.pixel_type);
  job.scale = recipe.scale;
  job.offset = recipe.offset;
  job.out = out;
  // Where stored values are the values, clamping changes none: one kernel fewer for a case that memory bounds anyway.
  const RuleKind kind = job.rule.kind == RuleKind::identity ? RuleKind::window : job.rule.kind;
  return TilePlan{job, frame.pixel_type, kind, unit_bytes_of(frame)};
}

}  // namespace cxr_edge
