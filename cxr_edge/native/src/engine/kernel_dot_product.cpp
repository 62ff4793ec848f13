// ARM's dot product multiplies signed by signed bytes only: codes are taken as code - 128, and 128 times the sum of a
// filter's weights is added back before the first product.
#include "neon_codes.h"
#include "pointwise.h"

namespace cxr_edge::engine {
namespace {

struct DotProduct {
  using Sums = int32x4_t;
  using Input = int8x16_t;
  using Weights = int8x16_t;
  static constexpr int vectors = 4;
  static constexpr int panels = 1;
  static constexpr int largest = 6;

  static Sums start(const ConvolutionTask &task, size_t filter) {
    return vmlaq_n_s32(vld1q_s32(task.bias + filter), vld1q_s32(task.weight_sums + filter), 128);
  }
  static Input input(const uint8_t *codes) {
    return vreinterpretq_s8_u8(veorq_u8(four_codes(codes), vdupq_n_u8(128)));
  }
  static Weights weights(const int8_t *at) { return vld1q_s8(at); }
  static void add_products(Sums &sums, Input input, Weights weights) { sums = vdotq_s32(sums, weights, input); }
  template <int pixels, int panel_count>
  static void store(const Sums (&sums)[pixels][4 * panel_count], const ConvolutionTask &task, const TilePlace &place,
                    size_t filter) {
    store_panel<pixels>(sums, task, place, filter);
  }
};

}  // namespace

const Kernel dot_product_kernel = kernel_with(convolve<DotProduct>, true);

}  // namespace cxr_edge::engine
