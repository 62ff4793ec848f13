// What one stored pixel contributes to a sum: clamp(v) - lo, or the black end where it is padding.
#pragma once

#include <cstdint>

#include "cxr_edge.h"
#include "host_device.h"

namespace cxr_edge {

// How much of the rule a frame needs; a kernel is compiled for each, so that no frame pays for what it does not use.
enum class RuleKind { identity, window, window_and_padding };

// The rule in unsigned 16-bit lanes, for SIMD. Signed pixels are biased by 2^15, which keeps their order. With u the
// (biased) pixel and saturating arithmetic, value = min(u + raise - lower, span), one of raise and lower being 0;
// padding (u - padding_first <= padding_length modulo 2^16) becomes `black`.
struct LaneRule {
  uint16_t raise;
  uint16_t lower;
  uint16_t span;
  uint16_t padding_first;
  uint16_t padding_length;
  uint16_t black;
  uint32_t rows_per_lane;  // how many values add up without overflowing a lane, at least 1
};

// The rule as it is defined, in stored units; the scalar kernels and the GPU use this one.
struct PixelRule {
  int32_t lo;
  int32_t hi;
  int32_t padding_first;  // an empty range where the frame has no padding
  int32_t padding_last;
  uint32_t black;
  RuleKind kind;
  LaneRule lanes;

  // clamp(v) - lo, in 0..65535; the padding of `kind` is looked at only where there is some.
  template <RuleKind rule_kind>
  CXR_EDGE_HOST_DEVICE uint32_t value(int32_t stored) const {
    if (rule_kind == RuleKind::window_and_padding && stored >= padding_first && stored <= padding_last) return black;
    const int32_t clamped = stored < lo ? lo : stored > hi ? hi : stored;
    return static_cast<uint32_t>(clamped) - static_cast<uint32_t>(lo);
  }
};

// The rule of a recipe for pixels of a valid type; the recipe's window has been checked.
PixelRule pixel_rule(const cxr_edge_recipe &recipe, int32_t pixel_type);

}  // namespace cxr_edge
