#include "pixel_rule.h"

#include <algorithm>

namespace cxr_edge {
namespace {

constexpr int64_t lane_max = 0xFFFF;

bool is_signed(int32_t pixel_type) { return pixel_type == CXR_EDGE_INT8 || pixel_type == CXR_EDGE_INT16; }

// Every value that the pixel type can hold, biased as in LaneRule.
struct LaneRange {
  int64_t first;
  int64_t last;
};

LaneRange lane_range(int32_t pixel_type) {
  switch (pixel_type) {
    case CXR_EDGE_UINT8: return {0, 255};
    case CXR_EDGE_INT8: return {32768 - 128, 32768 + 127};
    default: return {0, lane_max};
  }
}

int64_t in_lane(int64_t biased) { return std::clamp<int64_t>(biased, 0, lane_max); }

LaneRule lane_rule(const PixelRule &rule, LaneRange range, int64_t bias) {
  const int64_t lo = rule.lo + bias;
  const int64_t span = int64_t{rule.hi} - rule.lo;
  const int64_t first = in_lane(rule.padding_first + bias);
  const int64_t last = in_lane(rule.padding_last + bias);
  LaneRule lanes{};
  lanes.raise = static_cast<uint16_t>(in_lane(-lo));
  lanes.lower = static_cast<uint16_t>(in_lane(lo));
  lanes.span = static_cast<uint16_t>(span);
  lanes.padding_first = static_cast<uint16_t>(first);
  lanes.padding_length = static_cast<uint16_t>(last - first);
  lanes.black = static_cast<uint16_t>(rule.black);
  const int64_t largest = std::max({std::clamp(range.last, lo, lo + span) - lo, int64_t{rule.black}, int64_t{1}});
  lanes.rows_per_lane = static_cast<uint32_t>(lane_max / largest);
  return lanes;
}

RuleKind kind_of(const PixelRule &rule, int64_t bias, LaneRange range) {
  const int64_t first = std::max(rule.padding_first + bias, range.first);
  const int64_t last = std::min(rule.padding_last + bias, range.last);
  if (first <= last) return RuleKind::window_and_padding;
  const bool stored_value_is_the_value = rule.lo + bias == 0 && rule.hi + bias >= range.last;
  return stored_value_is_the_value ? RuleKind::identity : RuleKind::window;
}

}  // namespace

PixelRule pixel_rule(const cxr_edge_recipe &recipe, int32_t pixel_type) {
  const int64_t bias = is_signed(pixel_type) ? 32768 : 0;
  PixelRule rule{};
  rule.lo = recipe.window_lo;
  rule.hi = recipe.window_hi;
  rule.padding_first = recipe.has_padding ? recipe.padding_first : 1;
  rule.padding_last = recipe.has_padding ? recipe.padding_last : 0;
  rule.black = recipe.inverted ? static_cast<uint32_t>(recipe.window_hi) - static_cast<uint32_t>(recipe.window_lo) : 0;
  const LaneRange range = lane_range(pixel_type);
  rule.kind = kind_of(rule, bias, range);
  rule.lanes = lane_rule(rule, range, bias);
  return rule;
}

}  // namespace cxr_edge
