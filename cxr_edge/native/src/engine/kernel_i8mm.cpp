// ARM's I8MM extension has a dot product of unsigned by signed bytes: what the codes and weights are.
#include "neon_codes.h"
#include "pointwise.h"

namespace cxr_edge::engine {
namespace {

struct I8mm {
  using Sums = int32x4_t;
  using Input = uint8x16_t;
  using Weights = int8x16_t;
  static constexpr int vectors = 4;
  static constexpr int panels = 1;
  static constexpr int largest = 6;

  static Sums start(const ConvolutionTask &task, size_t filter) { return vld1q_s32(task.bias + filter); }
  static Input input(const uint8_t *codes) { return four_codes(codes); }
  static Weights weights(const int8_t *at) { return vld1q_s8(at); }
  static void add_products(Sums &sums, Input input, Weights weights) { sums = vusdotq_s32(sums, input, weights); }
  template <int pixels, int panel_count>
  static void store(const Sums (&sums)[pixels][4 * panel_count], const ConvolutionTask &task, const TilePlace &place,
                    size_t filter) {
    store_panel<pixels>(sums, task, place, filter);
  }
};

}  // namespace

const Kernel i8mm_kernel = kernel_with(convolve<I8mm>);

}  // namespace cxr_edge::engine
