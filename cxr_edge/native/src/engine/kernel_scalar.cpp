// Portable kernel that follows the definition word for word; the oracle of the others.
#include <cmath>

#include "pointwise.h"

namespace cxr_edge::engine {
namespace {

int32_t sum_of(const ConvolutionTask &task, const uint8_t *window, uint32_t filter) {
  const size_t groups = size_t{task.segments} * task.segment_groups;
  const int8_t *weights =
      task.weights + (filter / panel_width * groups * panel_width + filter % panel_width) * group_products;
  int32_t sum = task.bias[filter];
  for (uint32_t segment = 0; segment < task.segments; ++segment) {
    const uint8_t *run = window + segment * task.segment_step;
    for (uint32_t group = 0; group < task.segment_groups; ++group) {
      for (uint32_t k = 0; k < group_products; ++k) sum += int32_t{run[group * group_products + k]} * weights[k];
      weights += panel_width * group_products;
    }
  }
  return sum;
}

uint8_t code_of(int32_t sum, float multiplier) {
  const float value = static_cast<float>(sum) * multiplier;
  return static_cast<uint8_t>(at_most(at_least(static_cast<int32_t>(std::lrintf(value)), 0), 255));
}

void convolve(const ConvolutionTask &task) {
  for (uint32_t row = 0; row < task.rows; ++row) {
    for (uint32_t column = 0; column < task.columns; ++column) {
      const uint8_t *window = task.input + row * task.row_step + column * task.pixel_step;
      uint8_t *output = task.output + row * task.output_row_step + column * task.output_pixel_step;
      for (uint32_t filter = 0; filter < task.panels * panel_width; ++filter) {
        output[filter] = code_of(sum_of(task, window, filter), task.multiplier[filter]);
      }
    }
  }
}

}  // namespace

const Kernel scalar_kernel = kernel_with(convolve);

}  // namespace cxr_edge::engine
