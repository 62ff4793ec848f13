// Compiled with -mavx2; called only where the processor has it.
#include <immintrin.h>

#include "rows_simd.h"

namespace cxr_edge {
namespace {

struct Avx2 {
  using Register = __m256i;
  static constexpr uint32_t lanes = 16;

  static Register load(const uint16_t *p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)); }
  static Register load(const int16_t *p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)); }
  static Register load(const uint8_t *p) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
  }
  static Register load(const int8_t *p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
  }
  static Register broadcast(uint16_t v) { return _mm256_set1_epi16(static_cast<int16_t>(v)); }
  static Register bitwise_xor(Register a, Register b) { return _mm256_xor_si256(a, b); }
  static Register min(Register a, Register b) { return _mm256_min_epu16(a, b); }
  static Register add(Register a, Register b) { return _mm256_add_epi16(a, b); }
  static Register add_saturated(Register a, Register b) { return _mm256_adds_epu16(a, b); }
  static Register subtract_saturated(Register a, Register b) { return _mm256_subs_epu16(a, b); }
  static Register subtract(Register a, Register b) { return _mm256_sub_epi16(a, b); }
  static Register at_most_select(Register a, Register limit, Register yes, Register no) {
    return _mm256_blendv_epi8(no, yes, _mm256_cmpeq_epi16(_mm256_min_epu16(a, limit), a));
  }

  static Register add32(Register a, Register b) { return _mm256_add_epi32(a, b); }
  static Register subtract32(Register a, Register b) { return _mm256_sub_epi32(a, b); }
  static Register multiply32(Register a, uint32_t weight) {
    return _mm256_mullo_epi32(a, _mm256_set1_epi32(static_cast<int32_t>(weight)));
  }
  static Register high_halves(Register a) { return _mm256_srli_epi32(a, 16); }
  static Register shift_up(Register a) { return _mm256_slli_epi32(a, 16); }
  static void add_to_columns(Register even, Register odd, uint32_t *sums) {
    const Register low = _mm256_unpacklo_epi32(even, odd);   // columns 0-3 and 8-11
    const Register high = _mm256_unpackhi_epi32(even, odd);  // columns 4-7 and 12-15
    add_to(sums, _mm256_permute2x128_si256(low, high, 0x20));
    add_to(sums + 8, _mm256_permute2x128_si256(low, high, 0x31));
  }

 private:
  static void add_to(uint32_t *sums, Register columns) {
    auto *p = reinterpret_cast<__m256i *>(sums);
    _mm256_storeu_si256(p, _mm256_add_epi32(_mm256_loadu_si256(p), columns));
  }
};

template <class Pixel, RuleKind kind>
using Rows = SimdRows<Avx2, Pixel, kind>;

}  // namespace

AddRows avx2_kernel(int32_t pixel_type, RuleKind kind) { return kernel_for<Rows>(pixel_type, kind); }

}  // namespace cxr_edge
