#include "resample.h"

#include <algorithm>

#include "linear_map.h"

namespace cxr_edge {
namespace {

// Most rows that a kernel reads side by side: beyond this the processor's prefetcher loses track of them.
constexpr uint32_t max_block = 16;

// column_sums[x] = weighted sum of column x over the rows of one output row; at most 65,535 * height, so it fits.
void sum_columns(const Resampling &job, const Overlap &rows, uint32_t *column_sums) {
  std::fill_n(column_sums, job.width, 0u);
  for (uint32_t y = rows.begin; y < rows.end; y += max_block) {
    const uint32_t count = std::min(max_block, rows.end - y);
    RowBlock block{};
    block.pixels = job.pixels + y * job.row_stride;
    block.stride = job.row_stride;
    block.count = count;
    block.width = job.width;
    block.first_weight = weight_of(rows, y, job.out_height);
    block.inner_weight = job.out_height;
    block.last_weight = weight_of(rows, y + count - 1, job.out_height);
    job.add_rows(block, job.rule, column_sums);
  }
}

// The sum over one output pixel; at most 65,535 * height * width < 2^48.
uint64_t sum_pixel(const ColumnTaps &taps, uint32_t inner, uint64_t out_width, const uint32_t *column_sums) {
  const uint32_t *column = column_sums + taps.begin;
  uint64_t sum = 0;
  for (uint32_t k = 1; k <= inner; ++k) sum += column[k];
  return sum * out_width + uint64_t{taps.first_weight} * column[0] + uint64_t{taps.next_weight} * column[inner + 1] +
         uint64_t{taps.last_weight} * column[inner + 2];
}

}  // namespace

ColumnPlan plan_columns(uint32_t width, uint32_t out_width) {
  const uint32_t whole = width / out_width;
  ColumnPlan plan{whole > 0 ? whole - 1 : 0, {}};
  plan.taps.reserve(out_width);
  for (uint32_t j = 0; j < out_width; ++j) {
    const Overlap overlap = overlap_of(j, width, out_width);
    const uint32_t next = overlap.begin + plan.inner + 1;
    plan.taps.push_back(ColumnTaps{overlap.begin, overlap.first_weight, weight_of(overlap, next, out_width),
                                   weight_of(overlap, next + 1, out_width)});
  }
  return plan;
}

void resample_rows(const Resampling &job, uint32_t begin, uint32_t end, uint32_t *column_sums) {
  const size_t out_width = job.columns.taps.size();
  for (uint32_t i = begin; i < end; ++i) {
    sum_columns(job, overlap_of(i, job.height, job.out_height), column_sums);
    float *out = job.out + i * out_width;
    for (size_t j = 0; j < out_width; ++j) {
      const uint64_t sum = sum_pixel(job.columns.taps[j], job.columns.inner, out_width, column_sums);
      out[j] = map_sum(sum, job.scale, job.offset);
    }
  }
}

}  // namespace cxr_edge
