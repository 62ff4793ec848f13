// The hot loop's interface: weighted sums of pixel rows. One implementation a SIMD level, all with the same results.
#pragma once

#include <cstddef>
#include <cstdint>

#include "pixel_rule.h"

namespace cxr_edge {

// `count` rows of `width` pixels each, `stride` bytes apart, and their weights: those of the first and the last row,
// and the one that all rows between share. A block of one row has the first row's weight.
struct RowBlock {
  const unsigned char *pixels;
  size_t stride;
  uint32_t count;
  uint32_t width;
  uint32_t first_weight;
  uint32_t inner_weight;
  uint32_t last_weight;
};

// sums[x] += weighted sum of the block's values in column x, modulo 2^32, for every x < width. A term may wrap on the
// way; the sum over an output pixel's rows is below 2^32 and therefore exact.
using AddRows = void (*)(const RowBlock &block, const PixelRule &rule, uint32_t *sums);

// The kernel of each level for a valid pixel type. A build has only the levels of its processor family.
AddRows scalar_kernel(int32_t pixel_type, RuleKind kind);
AddRows neon_kernel(int32_t pixel_type, RuleKind kind);
AddRows avx2_kernel(int32_t pixel_type, RuleKind kind);
AddRows avx512_kernel(int32_t pixel_type, RuleKind kind);

// The table of a kernel family: Family<Pixel, kind>::add_rows for the type and kind given at run time.
template <template <class, RuleKind> class Family, class Pixel>
AddRows kernel_for_kind(RuleKind kind) {
  switch (kind) {
    case RuleKind::identity: return &Family<Pixel, RuleKind::identity>::add_rows;
    case RuleKind::window: return &Family<Pixel, RuleKind::window>::add_rows;
    default: return &Family<Pixel, RuleKind::window_and_padding>::add_rows;
  }
}

template <template <class, RuleKind> class Family>
AddRows kernel_for(int32_t pixel_type, RuleKind kind) {
  switch (pixel_type) {
    case CXR_EDGE_UINT8: return kernel_for_kind<Family, uint8_t>(kind);
    case CXR_EDGE_UINT16: return kernel_for_kind<Family, uint16_t>(kind);
    case CXR_EDGE_INT8: return kernel_for_kind<Family, int8_t>(kind);
    default: return kernel_for_kind<Family, int16_t>(kind);
  }
}

}  // namespace cxr_edge
