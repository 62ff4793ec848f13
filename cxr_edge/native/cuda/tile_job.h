// One launch of the GPU kernel, as plain data: what the host works out once so that a thread needs not.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cxr_edge.h"
#include "exact_division.h"
#include "pixel_rule.h"

namespace cxr_edge {

// Threads of a block. Four warps: small enough that the blocks of a 224 x 224 output fill a large GPU evenly.
constexpr uint32_t block_threads_log2 = 7;
constexpr uint32_t block_threads = 1u << block_threads_log2;

// Bytes of a row that one thread sums up: the widest load there is.
constexpr uint32_t bytes_per_thread = 16;

// Everything about one launch, the same for all threads. A kernel argument, so it stays small and has no pointers but
// the two to device memory.
struct TileJob {
  const unsigned char *pixels;  // of the crop's first row, as seen by the GPU; a multiple of 16 bytes into the row
  uint64_t row_stride;          // bytes
  uint32_t skew;                // pixels from `pixels` to the crop's first column
  uint32_t height, width;       // of the crop
  uint32_t out_height, out_width;
  ExactDivision by_out_height, by_out_width, by_tiles;
  uint32_t tiles;              // blocks that share one output row
  uint32_t row_groups_log2;    // the threads of a block in groups, each with every 2^n-th row of the output row's band
  uint32_t column_lanes_log2;  // threads that share the columns of one output pixel
  PixelRule rule;
  double scale, offset;
  float *out;
};

// A job and the kernel that it needs.
struct TilePlan {
  TileJob job;
  int32_t pixel_type;   // a cxr_edge_pixel_type
  RuleKind kind;        // window or window_and_padding
  uint32_t unit_bytes;  // of one load: 16, 4, or a single pixel
};

// The plan for arguments that have been checked. `frame.pixels` and `out` are addresses that the GPU uses; nothing is
// read through them here.
TilePlan plan_tiles(const cxr_edge_frame &frame, const cxr_edge_recipe &recipe, float *out, uint32_t out_height,
                    uint32_t out_width);

}  // namespace cxr_edge
