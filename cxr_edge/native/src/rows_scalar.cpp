// Portable kernels that follow the definition word for word; the oracle of the SIMD ones.
#include "row_kernels.h"

namespace cxr_edge {
namespace {

template <class Pixel, RuleKind kind>
struct ScalarRows {
  static void add_rows(const RowBlock &block, const PixelRule &rule, uint32_t *sums) {
    for (uint32_t y = 0; y < block.count; ++y) {
      const auto *row = reinterpret_cast<const Pixel *>(block.pixels + y * block.stride);
      const bool is_first = y == 0, is_last = y + 1 == block.count;
      const uint32_t weight = is_first ? block.first_weight : is_last ? block.last_weight : block.inner_weight;
      for (uint32_t x = 0; x < block.width; ++x) sums[x] += weight * rule.value<kind>(row[x]);
    }
  }
};

}  // namespace

AddRows scalar_kernel(int32_t pixel_type, RuleKind kind) { return kernel_for<ScalarRows>(pixel_type, kind); }

}  // namespace cxr_edge
