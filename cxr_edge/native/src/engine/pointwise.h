// Everything but the convolutions, as plain loops: each kernel's file compiles them for its own instruction set, in a
// namespace of its own so that the linker never takes one for another. Nothing from the standard library is instantiated
// here, for the same reason.
#pragma once

#include <cmath>

#include "kernel.h"
#include "model_file.h"

namespace cxr_edge::engine {
namespace {

inline int32_t at_least(int32_t value, int32_t low) { return value < low ? low : value; }
inline int32_t at_most(int32_t value, int32_t high) { return value > high ? high : value; }

// Sixteenths of a code after batch normalisation and ReLU; the file's reader made sure that 16 bits hold the sum.
inline int16_t fine_code(uint8_t code, int16_t multiplier, int16_t bias) {
  const auto sum = static_cast<int16_t>(code * multiplier + bias);
  const int16_t positive = sum < 0 ? int16_t{0} : sum;
  return positive > int16_t{fine_max} ? int16_t{fine_max} : positive;
}

void clamp_pixels(const PrologueTask &task) {
  const uint8_t *low = task.parameters, *high = task.parameters + task.channels;
  for (uint32_t p = 0; p < task.pixels; ++p) {
    const uint8_t *input = task.input + p * task.input_step;
    uint8_t *__restrict output = task.output + p * task.output_step;
    for (uint32_t c = 0; c < task.channels; ++c) {
      const uint8_t raised = input[c] < low[c] ? low[c] : input[c];
      output[c] = raised > high[c] ? high[c] : raised;
    }
  }
}

void affine_pixels(const PrologueTask &task) {
  const auto *multiplier = reinterpret_cast<const int16_t *>(task.parameters);
  const int16_t *bias = multiplier + task.channels;
  for (uint32_t p = 0; p < task.pixels; ++p) {
    const uint8_t *input = task.input + p * task.input_step;
    uint8_t *__restrict output = task.output + p * task.output_step;
    for (uint32_t c = 0; c < task.channels; ++c) {
      output[c] = static_cast<uint8_t>(fine_code(input[c], multiplier[c], bias[c]) >> 4);
    }
  }
}

void pooled_affine_pixels(const PrologueTask &task) {
  const auto *multiplier = reinterpret_cast<const int16_t *>(task.parameters);
  const int16_t *bias = multiplier + task.channels;
  for (uint32_t p = 0; p < task.pixels; ++p) {
    const uint8_t *a = task.input + 2 * p * task.input_step, *b = a + task.input_step;
    const uint8_t *c = a + task.input_row_step, *d = c + task.input_step;
    uint8_t *__restrict output = task.output + p * task.output_step;
    for (uint32_t k = 0; k < task.channels; ++k) {
      const int16_t m = multiplier[k], o = bias[k];
      const auto sum = static_cast<int16_t>(fine_code(a[k], m, o) + fine_code(b[k], m, o) + fine_code(c[k], m, o) +
                                            fine_code(d[k], m, o));
      output[k] = static_cast<uint8_t>((sum + 32) >> 6);
    }
  }
}

void maximum_pool_pixels(const PoolTask &task) {
  for (uint32_t p = 0; p < task.pixels; ++p) {
    const size_t first = size_t{2} * p * task.channels;
    const uint8_t *a = task.rows[0] + first, *b = task.rows[1] + first, *c = task.rows[2] + first;
    uint8_t *__restrict output = task.output + p * task.output_step;
    for (uint32_t k = 0; k < task.channels; ++k) {
      uint8_t most = 0;
      for (uint32_t column = 0; column < 3; ++column) {
        const uint32_t at = column * task.channels + k;
        const uint8_t ab = a[at] > b[at] ? a[at] : b[at];
        const uint8_t abc = ab > c[at] ? ab : c[at];
        most = most > abc ? most : abc;
      }
      output[k] = most;
    }
  }
}

void head_pixels(const HeadTask &task) {
  const auto *multiplier = reinterpret_cast<const int16_t *>(task.parameters);
  const int16_t *bias = multiplier + (task.channels + alignment - 1) / alignment * alignment;
  for (uint32_t p = 0; p < task.pixels; ++p) {
    const uint8_t *input = task.input + p * task.input_step;
    int32_t sum = 0;
    for (uint32_t c = 0; c < task.channels; ++c) {
      sum += int32_t{fine_code(input[c], multiplier[c], bias[c])} * task.weights[c];
    }
    const float product = static_cast<float>(sum) * task.multiplier;
    task.output[p] = product + task.bias;
  }
}

bool image_row_codes(const ImageRowTask &task) {
  float wrong = 0.0F;
  for (uint32_t x = 0; x < task.count; ++x) {
    const float pixel = task.pixels[x];
    wrong += pixel * 0.0F;  // 0 for every finite number, NaN for the others
    const float scaled = pixel * task.scale;
    float value = scaled + task.zero;
    value = value > 0.0F ? value : 0.0F;
    value = value < 255.0F ? value : 255.0F;
    task.codes[x] = static_cast<uint8_t>(std::lrintf(value));  // halves to even, the mode that C starts with
  }
  return wrong == 0.0F;
}

// The table of a kernel, whose convolution is all that differs in its source.
constexpr Kernel kernel_with(void (*convolve)(const ConvolutionTask &), bool needs_weight_sums = false) {
  return Kernel{needs_weight_sums, convolve,  clamp_pixels, affine_pixels,
                pooled_affine_pixels, maximum_pool_pixels, head_pixels, image_row_codes};
}

}  // namespace
}  // namespace cxr_edge::engine
