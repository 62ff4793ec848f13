// Which input pixels an output pixel covers, and with what integer weights: the arithmetic of exact area resampling.
//
// In units of 1/size_out, input pixel x covers [x * size_out, (x + 1) * size_out) and output pixel i covers
// [i * size_in, (i + 1) * size_in). Every overlap is an integer, and the weights of an output pixel add up to size_in.
#pragma once

#include <cstdint>

#include "host_device.h"

namespace cxr_edge {

// Input pixels [begin, end) of one output pixel. The first weighs `first_weight`, the last `last_weight`, those between
// `size_out`. A single pixel (end - begin == 1) weighs `first_weight`, and `last_weight` is 0.
struct Overlap {
  uint32_t begin;
  uint32_t end;
  uint32_t first_weight;
  uint32_t last_weight;
};

// The overlap of output pixel `index`; `by_size_out` divides by size_out. Sizes up to 65,535 keep every number below
// 65,535 * 65,535 + 65,535 < 2^32.
template <class Division>
CXR_EDGE_HOST_DEVICE constexpr Overlap overlap_of(uint32_t index, uint32_t size_in, uint32_t size_out,
                                                  const Division &by_size_out) {
  const uint32_t start = index * size_in;
  const uint32_t stop = start + size_in;
  const uint32_t begin = by_size_out(start);
  const uint32_t end = by_size_out(stop + size_out - 1);
  const bool single = end - begin == 1;
  return Overlap{begin, end, (single ? stop : (begin + 1) * size_out) - start,
                 single ? 0 : stop - (end - 1) * size_out};
}

// The processor's own division.
struct PlainDivision {
  uint32_t divisor;
  CXR_EDGE_HOST_DEVICE constexpr uint32_t operator()(uint32_t n) const { return n / divisor; }
};

constexpr Overlap overlap_of(uint32_t index, uint32_t size_in, uint32_t size_out) {
  return overlap_of(index, size_in, size_out, PlainDivision{size_out});
}

// The weight of input pixel `x` in an overlap whose inner pixels weigh `size_out`; 0 outside.
CXR_EDGE_HOST_DEVICE constexpr uint32_t weight_of(const Overlap &overlap, uint32_t x, uint32_t size_out) {
  if (x < overlap.begin || x >= overlap.end) return 0;
  if (x == overlap.begin) return overlap.first_weight;
  return x + 1 == overlap.end ? overlap.last_weight : size_out;
}

}  // namespace cxr_edge
