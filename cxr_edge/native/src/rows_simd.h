// The SIMD kernels' one loop, over a vector type that each instruction set defines in its own file.
//
// A vector type V has unsigned 16-bit lanes: `lanes`, `load` (bytes are widened, signed ones with their sign),
// `broadcast`, `bitwise_xor`, `min`, `add`, `subtract`, `add_saturated`, `subtract_saturated`, `at_most_select`; on the
// same register seen as 32-bit lanes `add32`, `subtract32`, `multiply32`, `high_halves`, `shift_up`; and
// `add_to_columns`, which adds even and odd columns to an array. It lives in an unnamed namespace, and with it all that
// is instantiated from here: code compiled for a newer processor must never be merged with another file's.
#pragma once

#include <type_traits>

#include "row_kernels.h"

namespace cxr_edge {

template <class Pixel>
constexpr int32_t pixel_type_of = sizeof(Pixel) == 1 ? (std::is_signed_v<Pixel> ? CXR_EDGE_INT8 : CXR_EDGE_UINT8)
                                                     : (std::is_signed_v<Pixel> ? CXR_EDGE_INT16 : CXR_EDGE_UINT16);

template <class V, class Pixel, RuleKind kind>
class SimdRows {
 public:
  static void add_rows(const RowBlock &block, const PixelRule &rule, uint32_t *sums) {
    if (block.width < V::lanes) return scalar_kernel(pixel_type_of<Pixel>, kind)(block, rule, sums);
    const SimdRows rows(block, rule.lanes);
    uint32_t x = 0;
    for (; x + V::lanes <= block.width; x += V::lanes) rows.add_strip(x, sums + x);
    if (x < block.width) rows.add_last_columns(x, sums);
  }

 private:
  using Register = typename V::Register;

  // Sums of V::lanes columns in 32-bit lanes. A register of values holds an even column in the low and an odd one in
  // the high half of each lane. `whole` adds it as it is, `odd` its high halves alone: three instructions where
  // unpacking takes four. Modulo 2^32 the even columns' sum is whole - (odd << 16).
  struct Columns {
    Register whole, odd;
    static Columns of(Register values) { return {values, V::high_halves(values)}; }
    void operator+=(const Columns &other) {
      whole = V::add32(whole, other.whole);
      odd = V::add32(odd, other.odd);
    }
    Columns operator*(uint32_t weight) const { return {V::multiply32(whole, weight), V::multiply32(odd, weight)}; }
  };

  SimdRows(const RowBlock &block, const LaneRule &rule)
      : block_(block),
        rows_per_lane_(rule.rows_per_lane),
        bias_(V::broadcast(0x8000)),
        raise_(V::broadcast(rule.raise)),
        lower_(V::broadcast(rule.lower)),
        span_(V::broadcast(rule.span)),
        padding_first_(V::broadcast(rule.padding_first)),
        padding_length_(V::broadcast(rule.padding_length)),
        black_(V::broadcast(rule.black)) {}

  // Adds columns [x, x + V::lanes) of all rows to `sums`.
  void add_strip(uint32_t x, uint32_t *sums) const {
    const unsigned char *first = block_.pixels + x * sizeof(Pixel);
    Columns total = Columns::of(values_at(first)) * block_.first_weight;
    if (block_.count > 1) {
      total += inner_rows(first) * block_.inner_weight;
      total += Columns::of(values_at(first + (block_.count - 1) * block_.stride)) * block_.last_weight;
    }
    V::add_to_columns(V::subtract32(total.whole, V::shift_up(total.odd)), total.odd, sums);
  }

  // The unweighted sum of the rows between the first and the last: in 16-bit lanes for as many rows as cannot overflow
  // them (16 rows of 12-bit values), then in 32 bits.
  Columns inner_rows(const unsigned char *first) const {
    Columns sum = Columns::of(V::broadcast(0));
    const unsigned char *row = first + block_.stride;
    for (uint32_t left = block_.count - 2; left > 0;) {
      const uint32_t together = left < rows_per_lane_ ? left : rows_per_lane_;
      Register values = values_at(row);
      row += block_.stride;
      for (uint32_t y = 1; y < together; ++y, row += block_.stride) values = V::add(values, values_at(row));
      sum += Columns::of(values);
      left -= together;
    }
    return sum;
  }

  // The last strip ends with the row and overlaps the one before; only the columns from `x` on are taken from it.
  void add_last_columns(uint32_t x, uint32_t *sums) const {
    uint32_t strip[V::lanes] = {};
    const uint32_t first = block_.width - V::lanes;
    add_strip(first, strip);
    for (; x < block_.width; ++x) sums[x] += strip[x - first];
  }

  // clamp(v) - lo of V::lanes pixels, as LaneRule has it.
  Register values_at(const unsigned char *pixels) const {
    Register stored = V::load(reinterpret_cast<const Pixel *>(pixels));
    if constexpr (std::is_signed_v<Pixel>) stored = V::bitwise_xor(stored, bias_);
    if constexpr (kind == RuleKind::identity) {
      return stored;
    } else {
      const Register value = V::min(V::subtract_saturated(V::add_saturated(stored, raise_), lower_), span_);
      if constexpr (kind == RuleKind::window) return value;
      return V::at_most_select(V::subtract(stored, padding_first_), padding_length_, black_, value);
    }
  }

  const RowBlock &block_;
  const uint32_t rows_per_lane_;
  Register bias_, raise_, lower_, span_, padding_first_, padding_length_, black_;
};

}  // namespace cxr_edge
