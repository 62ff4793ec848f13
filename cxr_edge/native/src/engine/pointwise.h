// Everything but the convolutions, as plain loops: each kernel's file compiles them for its own instruction set, in a
// namespace of its own so that the linker never takes one for another. Nothing from the standard library is instantiated
// here, for the same reason.
#pragma once

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

// The loops over channels take everything by value: through a reference each byte written might change their bounds, and
// the compiler would not vectorise them.

inline void clamp_channels(const uint8_t *__restrict input, const uint8_t *__restrict low,
                           const uint8_t *__restrict high, uint8_t *__restrict output, uint32_t channels) {
  for (uint32_t c = 0; c < channels; ++c) {
    const uint8_t raised = input[c] < low[c] ? low[c] : input[c];
    output[c] = raised > high[c] ? high[c] : raised;
  }
}

void clamp_pixels(const PrologueTask &task) {
  const uint8_t *low = task.parameters, *high = low + task.channels;
  for (uint32_t p = 0; p < task.pixels; ++p) {
    clamp_channels(task.input + p * task.input_step, low, high, task.output + p * task.output_step, task.channels);
  }
}

inline void affine_channels(const uint8_t *__restrict input, const int16_t *__restrict multiplier,
                            const int16_t *__restrict bias, uint8_t *__restrict output, uint32_t channels) {
  for (uint32_t c = 0; c < channels; ++c) {
    output[c] = static_cast<uint8_t>(fine_code(input[c], multiplier[c], bias[c]) >> 4);
  }
}

void affine_pixels(const PrologueTask &task) {
  const auto *multiplier = reinterpret_cast<const int16_t *>(task.parameters);
  const int16_t *bias = multiplier + task.channels;
  for (uint32_t p = 0; p < task.pixels; ++p) {
    affine_channels(task.input + p * task.input_step, multiplier, bias, task.output + p * task.output_step,
                    task.channels);
  }
}

inline void pooled_affine_channels(const uint8_t *__restrict a, const uint8_t *__restrict b,
                                   const uint8_t *__restrict c, const uint8_t *__restrict d,
                                   const int16_t *__restrict multiplier, const int16_t *__restrict bias,
                                   uint8_t *__restrict output, uint32_t channels) {
  for (uint32_t k = 0; k < channels; ++k) {
    const int16_t m = multiplier[k], o = bias[k];
    const auto top = static_cast<int16_t>(fine_code(a[k], m, o) + fine_code(b[k], m, o));
    const auto bottom = static_cast<int16_t>(fine_code(c[k], m, o) + fine_code(d[k], m, o));
    output[k] = static_cast<uint8_t>(static_cast<int16_t>(top + bottom + 32) >> 6);
  }
}

void pooled_affine_pixels(const PrologueTask &task) {
  const auto *multiplier = reinterpret_cast<const int16_t *>(task.parameters);
  const int16_t *bias = multiplier + task.channels;
  for (uint32_t p = 0; p < task.pixels; ++p) {
    const uint8_t *top = task.input + 2 * p * task.input_step, *bottom = top + task.input_row_step;
    pooled_affine_channels(top, top + task.input_step, bottom, bottom + task.input_step, multiplier, bias,
                           task.output + p * task.output_step, task.channels);
  }
}

inline void highest_of_three(const uint8_t *__restrict a, const uint8_t *__restrict b, const uint8_t *__restrict c,
                             uint8_t *__restrict output, uint32_t count) {
  for (uint32_t k = 0; k < count; ++k) {
    const uint8_t ab = a[k] > b[k] ? a[k] : b[k];
    output[k] = ab > c[k] ? ab : c[k];
  }
}

// Rows first, into the middle one's place, then columns.
void maximum_pool_pixels(const PoolTask &task) {
  const uint32_t channels = task.channels;
  highest_of_three(task.rows[0], task.rows[1], task.rows[2], task.highest, (2 * task.pixels + 1) * channels);
  for (uint32_t p = 0; p < task.pixels; ++p) {
    const uint8_t *first = task.highest + size_t{2} * p * channels;
    highest_of_three(first, first + channels, first + 2 * size_t{channels}, task.output + p * task.output_step, channels);
  }
}

inline int32_t sum_of_products(const uint8_t *__restrict input, const int16_t *__restrict multiplier,
                               const int16_t *__restrict bias, const int16_t *__restrict weights, uint32_t channels) {
  int32_t sum = 0;
  for (uint32_t c = 0; c < channels; ++c) {
    sum += int32_t{fine_code(input[c], multiplier[c], bias[c])} * weights[c];
  }
  return sum;
}

void head_pixels(const HeadTask &task) {
  const auto *multiplier = reinterpret_cast<const int16_t *>(task.parameters);
  const int16_t *bias = multiplier + (task.channels + alignment - 1) / alignment * alignment;
  for (uint32_t p = 0; p < task.pixels; ++p) {
    const int32_t sum =
        sum_of_products(task.input + p * task.input_step, multiplier, bias, task.weights, task.channels);
    const float product = static_cast<float>(sum) * task.multiplier;
    task.output[p] = product + task.bias;
  }
}

// A code, halves to even: adding 2^23 + 2^22 leaves no room for a fraction, in the rounding mode that C starts with.
inline uint8_t nearest_code(float value) {
  value = value > 0.0F ? value : 0.0F;
  value = value < 255.0F ? value : 255.0F;
  const float integral = value + 12582912.0F;
  return static_cast<uint8_t>(static_cast<int32_t>(integral - 12582912.0F));
}

// 1 where the exponent has all its bits, as infinities and NaNs have. An integer, because the compiler may add up
// integers in any order and several at a time.
inline uint32_t not_finite(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return (bits & 0x7F800000U) == 0x7F800000U ? 1U : 0U;
}

inline uint32_t code_pixels(const float *__restrict pixels, uint8_t *__restrict codes, uint32_t count, float scale,
                            float zero) {
  for (uint32_t x = 0; x < count; ++x) {
    const float scaled = pixels[x] * scale;
    codes[x] = nearest_code(scaled + zero);
  }
  uint32_t wrong = 0;
  for (uint32_t x = 0; x < count; ++x) wrong |= not_finite(pixels[x]);
  return wrong;
}

bool image_row_codes(const ImageRowTask &task) {
  return code_pixels(task.pixels, task.codes, task.count, task.scale, task.zero) == 0;
}

// The table of a kernel, whose convolution is all that differs in its source.
constexpr Kernel kernel_with(void (*convolve)(const ConvolutionTask &), bool needs_weight_sums = false) {
  return Kernel{needs_weight_sums, convolve,  clamp_pixels, affine_pixels,
                pooled_affine_pixels, maximum_pool_pixels, head_pixels, image_row_codes};
}

}  // namespace
}  // namespace cxr_edge::engine
