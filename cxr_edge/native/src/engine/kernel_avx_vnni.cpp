// AVX-VNNI, the 256-bit form: 6 pixels x 16 filters in 12 registers.
#include "pointwise.h"
#include "ymm_codes.h"

namespace cxr_edge::engine {
namespace {

struct AvxVnni {
  using Sums = __m256i;
  using Input = __m256i;
  using Weights = __m256i;
  static constexpr int vectors = 2;
  static constexpr int panels = 1;
  static constexpr int largest = 6;

  static Sums start(const ConvolutionTask &task, size_t filter) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(task.bias + filter));
  }
  static Input input(const uint8_t *codes) {
    int32_t four;
    std::memcpy(&four, codes, sizeof four);
    return _mm256_set1_epi32(four);
  }
  static Weights weights(const int8_t *at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(at)); }
  static void add_products(Sums &sums, Input input, Weights weights) {
#if defined(CXR_EDGE_VNNI_256_AS_AVX512)
    sums = _mm256_dpbusd_epi32(sums, input, weights);
#else
    sums = _mm256_dpbusd_avx_epi32(sums, input, weights);
#endif
  }
  template <int pixels, int panel_count>
  static void store(const Sums (&sums)[pixels][2 * panel_count], const ConvolutionTask &task, const TilePlace &place,
                    size_t filter) {
    store_panel<pixels>(sums, task, place, filter);
  }
};

}  // namespace

const Kernel avx_vnni_kernel = kernel_with(convolve<AvxVnni>);

}  // namespace cxr_edge::engine
