// Which input pixels an output pixel covers, and with what integer weights: the arithmetic of exact area resampling.
//
// In units of 1/size_out, input pixel x covers [x * size_out, (x + 1) * size_out) and output pixel i covers
// [i * size_in, (i + 1) * size_in). Every overlap is an integer, and the weights of an output pixel add up to size_in.
#pragma once

#include <cstdint>

// Device code computes the same weights from the same source.
#if defined(__CUDACC__)
#define CXR_EDGE_HOST_DEVICE __host__ __device__
#else
#define CXR_EDGE_HOST_DEVICE
#endif

namespace cxr_edge {

// Input pixels [begin, end) of one output pixel. The first weighs `first_weight`, the last `last_weight`, those between
// `size_out`. A single pixel (end - begin == 1) weighs `first_weight`, and `last_weight` is 0.
struct Overlap {
  uint32_t begin;
  uint32_t end;
  uint32_t first_weight;
  uint32_t last_weight;
};

// The overlap of output pixel `index`; sizes up to 65,535 keep every product inside 64 bits by far.
CXR_EDGE_HOST_DEVICE constexpr Overlap overlap_of(uint64_t index, uint64_t size_in, uint64_t size_out) {
  const uint64_t start = index * size_in;
  const uint64_t stop = start + size_in;
  const uint64_t begin = start / size_out;
  const uint64_t end = (stop + size_out - 1) / size_out;
  const bool single = end - begin == 1;
  return Overlap{static_cast<uint32_t>(begin), static_cast<uint32_t>(end),
                 static_cast<uint32_t>((single ? stop : (begin + 1) * size_out) - start),
                 static_cast<uint32_t>(single ? 0 : stop - (end - 1) * size_out)};
}

// The weight of input pixel `x` in an overlap whose inner pixels weigh `size_out`; 0 outside.
CXR_EDGE_HOST_DEVICE constexpr uint32_t weight_of(const Overlap &overlap, uint32_t x, uint32_t size_out) {
  if (x < overlap.begin || x >= overlap.end) return 0;
  if (x == overlap.begin) return overlap.first_weight;
  return x + 1 == overlap.end ? overlap.last_weight : size_out;
}

}  // namespace cxr_edge
