// AVX2 without VNNI: codes and weights are widened to 16 bits, because vpmaddubsw saturates its sums of two products.
#include "pointwise.h"
#include "ymm_codes.h"

namespace cxr_edge::engine {
namespace {

// Products 0 and 2 of each group, and 1 and 3.
struct Halves {
  __m256i even, odd;
};

struct Avx2 {
  using Sums = __m256i;
  using Input = Halves;
  using Weights = Halves;
  static constexpr int vectors = 2;
  static constexpr int panels = 1;
  static constexpr int largest = 4;

  static Sums start(const ConvolutionTask &task, size_t filter) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(task.bias + filter));
  }
  static Input input(const uint8_t *codes) {
    int32_t four;
    std::memcpy(&four, codes, sizeof four);
    const __m256i all = _mm256_set1_epi32(four);
    return {_mm256_and_si256(all, _mm256_set1_epi16(255)), _mm256_srli_epi16(all, 8)};
  }
  static Weights weights(const int8_t *at) {
    const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(at));
    return {_mm256_srai_epi16(_mm256_slli_epi16(all, 8), 8), _mm256_srai_epi16(all, 8)};
  }
  static void add_products(Sums &sums, Input input, Weights weights) {
    const __m256i even = _mm256_madd_epi16(input.even, weights.even);
    sums = _mm256_add_epi32(sums, _mm256_add_epi32(even, _mm256_madd_epi16(input.odd, weights.odd)));
  }
  template <int pixels, int panel_count>
  static void store(const Sums (&sums)[pixels][2 * panel_count], const ConvolutionTask &task, const TilePlace &place,
                    size_t filter) {
    store_panel<pixels>(sums, task, place, filter);
  }
};

}  // namespace

const Kernel avx2_kernel = kernel_with(convolve<Avx2>);

}  // namespace cxr_edge::engine
