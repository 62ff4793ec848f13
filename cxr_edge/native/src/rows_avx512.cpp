// Compiled with -mavx512f -mavx512bw; called only where the processor has both.
#include <immintrin.h>

#include "rows_simd.h"

namespace cxr_edge {
namespace {

struct Avx512 {
  using Register = __m512i;
  static constexpr uint32_t lanes = 32;

  static Register load(const uint16_t *p) { return _mm512_loadu_si512(p); }
  static Register load(const int16_t *p) { return _mm512_loadu_si512(p); }
  static Register load(const uint8_t *p) {
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)));
  }
  static Register load(const int8_t *p) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)));
  }
  static Register broadcast(uint16_t v) { return _mm512_set1_epi16(static_cast<int16_t>(v)); }
  static Register bitwise_xor(Register a, Register b) { return _mm512_xor_si512(a, b); }
  static Register min(Register a, Register b) { return _mm512_min_epu16(a, b); }
  static Register add(Register a, Register b) { return _mm512_add_epi16(a, b); }
  static Register add_saturated(Register a, Register b) { return _mm512_adds_epu16(a, b); }
  static Register subtract_saturated(Register a, Register b) { return _mm512_subs_epu16(a, b); }
  static Register subtract(Register a, Register b) { return _mm512_sub_epi16(a, b); }
  static Register at_most_select(Register a, Register limit, Register yes, Register no) {
    return _mm512_mask_blend_epi16(_mm512_cmple_epu16_mask(a, limit), no, yes);
  }

  static Register add32(Register a, Register b) { return _mm512_add_epi32(a, b); }
  static Register subtract32(Register a, Register b) { return _mm512_sub_epi32(a, b); }
  static Register multiply32(Register a, uint32_t weight) {
    return _mm512_mullo_epi32(a, _mm512_set1_epi32(static_cast<int32_t>(weight)));
  }
  static Register high_halves(Register a) { return _mm512_srli_epi32(a, 16); }
  static Register shift_up(Register a) { return _mm512_slli_epi32(a, 16); }
  static void add_to_columns(Register even, Register odd, uint32_t *sums) {
    const Register first = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const Register second = _mm512_set_epi32(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8);
    add_to(sums, _mm512_permutex2var_epi32(even, first, odd));
    add_to(sums + 16, _mm512_permutex2var_epi32(even, second, odd));
  }

 private:
  static void add_to(uint32_t *sums, Register columns) {
    _mm512_storeu_si512(sums, _mm512_add_epi32(_mm512_loadu_si512(sums), columns));
  }
};

template <class Pixel, RuleKind kind>
using Rows = SimdRows<Avx512, Pixel, kind>;

}  // namespace

AddRows avx512_kernel(int32_t pixel_type, RuleKind kind) { return kernel_for<Rows>(pixel_type, kind); }

}  // namespace cxr_edge
