// What a block of the GPU kernel does, written so that the host can do it, too.
//
// THE KERNEL. A 3000 x 3000 frame of 16-bit pixels is 18 MB, its 224 x 224 output 0.2 MB: the time is that of reading
// the frame once. The grid has one block for each output row and tile of neighbouring output columns.
//
//  1. Column sums. An output row's band of input rows (13.4 of them) is read with 16-byte loads: each thread owns 16
//     bytes of the row, a warp reads 512 bytes side by side, and with 4 groups of threads, each taking every fourth
//     row, all of the band's loads are on their way before the first is needed (rows_in_flight a thread). The rows'
//     weighted sums stay in registers (uint32, exact: they are below 65,535 * height) and go to shared memory once.
//  2. Pixel sums. The columns of an output pixel are added up by a few lanes of their own each (uint64), from shared
//     memory: 1/13 of the pixels' number.
//  3. The map. One thread an output pixel adds its lanes and writes; neighbours write side by side.
//
// Traffic: a row on the border of two bands is read by both blocks, 1 row in 14, and the 16 bytes on the border of two
// tiles by both. The blocks run at about the same time, so the second read comes from the L2 cache, and device memory
// sees the frame once. Nothing in between is written to memory. Parallelism at this size: 224 rows x 13 tiles of 17 or
// 18 pixels = 2,912 blocks of 128 threads, several waves of a Jetson Orin and about 1.4 of an H200; 4 loads of 16 bytes
// a thread in flight are far more than latency x bandwidth asks for on any of them. Arithmetic: about 5 instructions a
// pixel (extract, two for the clamp, subtract, multiply-add), and no division (exact_division.h).
//
// Where the shape is another, the same program holds: an output pixel wider than a block reads is summed in chunks of
// columns; where frames are enlarged or hardly reduced, all threads take the same row; rows whose address is no
// multiple of 16 are read in narrower units, side by side all the same. Outputs of very few pixels from large frames
// (8 x 8) have too few blocks to fill a large GPU; they are exact, and slower than memory allows.
//
// THE PROOF. `Threads` stands for the block's threads: each(f) runs f(thread) for every one of them and returns when
// all are done. On the GPU that is the calling thread and a barrier; in tests/native/cuda_emulation.cpp a loop. So the
// order of steps and barriers is shared code, too, and a test without a GPU executes all of the kernel but the launch.
#pragma once

#include <cstddef>
#include <cstdint>

#include "area_weights.h"
#include "linear_map.h"
#include "row_units.h"
#include "tile_job.h"

namespace cxr_edge {

template <class Pixel, uint32_t unit_bytes, RuleKind kind>
class TileProgram {
 public:
  static constexpr uint32_t pixels_per_thread = bytes_per_thread / sizeof(Pixel);

  // A block's shared memory: 5 or 9 KiB.
  struct Shared {
    alignas(16) uint32_t column_sums[block_threads * pixels_per_thread];  // [row group][column of the chunk]
    uint64_t lane_sums[block_threads];
  };

  // Writes the output pixels of block (tile, row) of the grid [job.out_height, job.tiles].
  template <class Threads>
  CXR_EDGE_HOST_DEVICE static void run(const TileJob &job, uint32_t tile, uint32_t row, Shared &shared,
                                       const Threads &threads) {
    const TileProgram block(job, tile, row, shared);
    for (uint32_t chunk = block.first_; chunk < block.last_; chunk += block.chunk_columns()) {
      threads.each([&](uint32_t thread) { block.sum_columns(chunk, thread); });
      threads.each([&](uint32_t thread) { block.sum_lane(chunk, thread); });
    }
    threads.each([&](uint32_t thread) { block.write_pixel(thread); });
  }

 private:
  static constexpr uint32_t pixels_per_unit = unit_bytes / sizeof(Pixel);
  static constexpr uint32_t units_per_thread = bytes_per_thread / unit_bytes;
  // 16 registers of pixels; narrow units take a register each, so one row of them must do.
  static constexpr uint32_t rows_in_flight = units_per_thread <= 4 ? 4 : 1;

  struct RowUnits {
    Unit<unit_bytes> units[units_per_thread];
  };

  CXR_EDGE_HOST_DEVICE TileProgram(const TileJob &job, uint32_t tile, uint32_t row, Shared &shared)
      : job_(job),
        shared_(shared),
        row_(row),
        rows_(overlap_of(row, job.height, job.out_height, job.by_out_height)),
        out_begin_(job.by_tiles(tile * job.out_width)),
        out_end_(job.by_tiles((tile + 1) * job.out_width)) {
    const uint32_t first = job.skew + columns_of(out_begin_).begin;
    first_ = first - first % pixels_per_unit;
    last_ = job.skew + columns_of(out_end_ - 1).end;
  }

  CXR_EDGE_HOST_DEVICE Overlap columns_of(uint32_t out_column) const {
    return overlap_of(out_column, job_.width, job_.out_width, job_.by_out_width);
  }

  CXR_EDGE_HOST_DEVICE uint32_t row_groups() const { return 1u << job_.row_groups_log2; }

  // Threads that take one row together.
  CXR_EDGE_HOST_DEVICE uint32_t row_threads() const { return block_threads >> job_.row_groups_log2; }

  // Columns that they read in one go.
  CXR_EDGE_HOST_DEVICE uint32_t chunk_columns() const { return row_threads() * pixels_per_thread; }

  // Step 1, one thread's part: every row_groups-th row of its columns.
  CXR_EDGE_HOST_DEVICE void sum_columns(uint32_t chunk, uint32_t thread) const {
    const uint32_t in_row = thread & (row_threads() - 1);
    const uint32_t group = thread >> (block_threads_log2 - job_.row_groups_log2);
    uint32_t sums[pixels_per_thread] = {};
    for (uint32_t y = rows_.begin + group; y < rows_.end; y += rows_in_flight * row_groups()) {
      RowUnits batch[rows_in_flight];
      CXR_EDGE_UNROLL
      for (uint32_t k = 0; k < rows_in_flight; ++k) batch[k] = load_row(y + k * row_groups(), chunk, in_row);
      CXR_EDGE_UNROLL
      for (uint32_t k = 0; k < rows_in_flight; ++k) {
        add_row(batch[k], weight_of(rows_, y + k * row_groups(), job_.out_height), sums);
      }
    }
    store_sums(sums, group * chunk_columns(), in_row);
  }

  // A row's units of one thread. What lies past the tile's columns or rows is not read, and not used either.
  CXR_EDGE_HOST_DEVICE RowUnits load_row(uint32_t y, uint32_t chunk, uint32_t in_row) const {
    RowUnits row{};
    if (y >= rows_.end) return row;
    const unsigned char *pixels = job_.pixels + y * job_.row_stride;
    CXR_EDGE_UNROLL
    for (uint32_t k = 0; k < units_per_thread; ++k) {
      const uint32_t column = chunk + column_in_chunk(k, in_row);
      if (column < last_) row.units[k] = load_unit<unit_bytes>(pixels + size_t{column} * sizeof(Pixel));
    }
    return row;
  }

  CXR_EDGE_HOST_DEVICE void add_row(const RowUnits &row, uint32_t weight, uint32_t *sums) const {
    CXR_EDGE_UNROLL
    for (uint32_t k = 0; k < pixels_per_thread; ++k) {
      const Pixel stored = pixel_of<Pixel>(row.units[k / pixels_per_unit], k % pixels_per_unit);
      sums[k] += weight * job_.rule.template value<kind>(stored);
    }
  }

  CXR_EDGE_HOST_DEVICE void store_sums(const uint32_t *sums, uint32_t group_begin, uint32_t in_row) const {
    CXR_EDGE_UNROLL
    for (uint32_t k = 0; k < pixels_per_thread; ++k) {
      const uint32_t column = column_in_chunk(k / pixels_per_unit, in_row) + k % pixels_per_unit;
      shared_.column_sums[group_begin + column] = sums[k];
    }
  }

  // First column of a thread's unit: a row's threads read unit k side by side, whatever its width.
  CXR_EDGE_HOST_DEVICE uint32_t column_in_chunk(uint32_t unit, uint32_t in_row) const {
    return (unit * row_threads() + in_row) * pixels_per_unit;
  }

  // Step 2: the chunk's columns, every column_lanes-th of one output pixel, added to this lane's sum.
  CXR_EDGE_HOST_DEVICE void sum_lane(uint32_t chunk, uint32_t thread) const {
    const uint32_t lanes = 1u << job_.column_lanes_log2;
    const uint32_t out_column = out_begin_ + (thread >> job_.column_lanes_log2);
    uint64_t sum = chunk == first_ ? 0 : shared_.lane_sums[thread];
    if (out_column < out_end_) {
      const Overlap columns = columns_of(out_column);
      const uint32_t begin = columns.begin + job_.skew, end = columns.end + job_.skew;
      const uint32_t stop = end < chunk + chunk_columns() ? end : chunk + chunk_columns();
      for (uint32_t x = (begin > chunk ? begin : chunk) + (thread & (lanes - 1)); x < stop; x += lanes) {
        sum += uint64_t{weight_of(columns, x - job_.skew, job_.out_width)} * column_sum(x - chunk);
      }
    }
    shared_.lane_sums[thread] = sum;
  }

  CXR_EDGE_HOST_DEVICE uint32_t column_sum(uint32_t column) const {
    uint32_t sum = 0;
    for (uint32_t group = 0; group < row_groups(); ++group) {
      sum += shared_.column_sums[group * chunk_columns() + column];
    }
    return sum;
  }

  // Step 3.
  CXR_EDGE_HOST_DEVICE void write_pixel(uint32_t thread) const {
    const uint32_t out_column = out_begin_ + thread;
    if (out_column >= out_end_) return;
    uint64_t sum = 0;
    for (uint32_t lane = 0; lane < 1u << job_.column_lanes_log2; ++lane) {
      sum += shared_.lane_sums[(thread << job_.column_lanes_log2) + lane];
    }
    job_.out[size_t{row_} * job_.out_width + out_column] = map_sum(sum, job_.scale, job_.offset);
  }

  const TileJob &job_;
  Shared &shared_;
  uint32_t row_;
  Overlap rows_;
  uint32_t out_begin_, out_end_;  // output columns of the tile
  uint32_t first_, last_;         // its input columns, counted from job.pixels, from a unit's begin
};

// The table of programs: use.template run<Pixel, unit_bytes, kind>() for what a plan asks for, and what it returns.
template <class Use, class Pixel, uint32_t unit_bytes>
auto with_kind(const TilePlan &plan, const Use &use) {
  using Window = TileProgram<Pixel, unit_bytes, RuleKind::window>;
  using WindowAndPadding = TileProgram<Pixel, unit_bytes, RuleKind::window_and_padding>;
  if (plan.kind == RuleKind::window) return use.template run<Window>(plan.job);
  return use.template run<WindowAndPadding>(plan.job);
}

template <class Use, class Pixel>
auto with_unit(const TilePlan &plan, const Use &use) {
  switch (plan.unit_bytes) {
    case 16: return with_kind<Use, Pixel, 16>(plan, use);
    case 4: return with_kind<Use, Pixel, 4>(plan, use);
    default: return with_kind<Use, Pixel, sizeof(Pixel)>(plan, use);
  }
}

template <class Use>
auto with_program(const TilePlan &plan, const Use &use) {
  switch (plan.pixel_type) {
    case CXR_EDGE_UINT8: return with_unit<Use, uint8_t>(plan, use);
    case CXR_EDGE_UINT16: return with_unit<Use, uint16_t>(plan, use);
    case CXR_EDGE_INT8: return with_unit<Use, int8_t>(plan, use);
    default: return with_unit<Use, int16_t>(plan, use);
  }
}

}  // namespace cxr_edge
