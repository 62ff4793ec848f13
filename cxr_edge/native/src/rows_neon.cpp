// Advanced SIMD is part of every AArch64 processor: chosen when compiling, not when running.
#include <arm_neon.h>

#include "rows_simd.h"

namespace cxr_edge {
namespace {

struct Neon {
  using Register = uint16x8_t;
  static constexpr uint32_t lanes = 8;

  static Register load(const uint16_t *p) { return vld1q_u16(p); }
  static Register load(const int16_t *p) { return vreinterpretq_u16_s16(vld1q_s16(p)); }
  static Register load(const uint8_t *p) { return vmovl_u8(vld1_u8(p)); }
  static Register load(const int8_t *p) { return vreinterpretq_u16_s16(vmovl_s8(vld1_s8(p))); }
  static Register broadcast(uint16_t v) { return vdupq_n_u16(v); }
  static Register bitwise_xor(Register a, Register b) { return veorq_u16(a, b); }
  static Register min(Register a, Register b) { return vminq_u16(a, b); }
  static Register add(Register a, Register b) { return vaddq_u16(a, b); }
  static Register add_saturated(Register a, Register b) { return vqaddq_u16(a, b); }
  static Register subtract_saturated(Register a, Register b) { return vqsubq_u16(a, b); }
  static Register subtract(Register a, Register b) { return vsubq_u16(a, b); }
  static Register at_most_select(Register a, Register limit, Register yes, Register no) {
    return vbslq_u16(vcleq_u16(a, limit), yes, no);
  }

  static Register add32(Register a, Register b) { return narrow(vaddq_u32(wide(a), wide(b))); }
  static Register subtract32(Register a, Register b) { return narrow(vsubq_u32(wide(a), wide(b))); }
  static Register multiply32(Register a, uint32_t weight) { return narrow(vmulq_n_u32(wide(a), weight)); }
  static Register high_halves(Register a) { return narrow(vshrq_n_u32(wide(a), 16)); }
  static Register shift_up(Register a) { return narrow(vshlq_n_u32(wide(a), 16)); }
  static void add_to_columns(Register even, Register odd, uint32_t *sums) {
    vst1q_u32(sums, vaddq_u32(vld1q_u32(sums), vzip1q_u32(wide(even), wide(odd))));
    vst1q_u32(sums + 4, vaddq_u32(vld1q_u32(sums + 4), vzip2q_u32(wide(even), wide(odd))));
  }

 private:
  static uint32x4_t wide(Register a) { return vreinterpretq_u32_u16(a); }
  static Register narrow(uint32x4_t a) { return vreinterpretq_u16_u32(a); }
};

template <class Pixel, RuleKind kind>
using Rows = SimdRows<Neon, Pixel, kind>;

}  // namespace

AddRows neon_kernel(int32_t pixel_type, RuleKind kind) { return kernel_for<Rows>(pixel_type, kind); }

}  // namespace cxr_edge
