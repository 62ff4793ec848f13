// Exact area resampling and the linear map, for any range of output rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "area_weights.h"
#include "row_kernels.h"

namespace cxr_edge {

// The columns of one output pixel, cut so that all output pixels of a frame have the same shape and the hot loop no
// unpredictable branch: one column, then `inner` whole ones, then two more of which either may weigh nothing.
struct ColumnTaps {
  uint32_t begin;
  uint32_t first_weight;
  uint32_t next_weight;
  uint32_t last_weight;
};

struct ColumnPlan {
  uint32_t inner;
  std::vector<ColumnTaps> taps;  // one an output column
};

// The last taps may reach this far past the frame, with weight 0.
constexpr uint32_t columns_past_end = 2;

ColumnPlan plan_columns(uint32_t width, uint32_t out_width);

// Everything about one call that its threads share, read-only but for the output they write side by side.
struct Resampling {
  const unsigned char *pixels;  // first pixel of the crop
  size_t row_stride;            // bytes
  uint32_t height, width;       // of the crop
  PixelRule rule;
  AddRows add_rows;
  ColumnPlan columns;
  uint32_t out_height;
  double scale, offset;
  float *out;
};

// Writes output rows [begin, end). `column_sums` is the calling thread's scratch memory: `width` numbers of any value
// and `columns_past_end` zeros.
void resample_rows(const Resampling &job, uint32_t begin, uint32_t end, uint32_t *column_sums);

}  // namespace cxr_edge
