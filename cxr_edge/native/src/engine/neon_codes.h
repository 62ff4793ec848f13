// Sums to codes in NEON registers, for both ARM kernels.
#pragma once

#include <arm_neon.h>

#include "convolution_tiles.h"

namespace cxr_edge::engine {
namespace {

inline int16x4_t word_of(int32x4_t sums, const float *multiplier) {
  return vqmovn_s32(vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sums), vld1q_f32(multiplier))));
}

template <int pixels>
void store_panel(const int32x4_t (&sums)[pixels][4], const ConvolutionTask &task, const TilePlace &place, size_t filter) {
  const float *m = task.multiplier + filter;
  for (int p = 0; p < pixels; ++p) {
    const int16x8_t low = vcombine_s16(word_of(sums[p][0], m), word_of(sums[p][1], m + 4));
    const int16x8_t high = vcombine_s16(word_of(sums[p][2], m + 8), word_of(sums[p][3], m + 12));
    vst1q_u8(output_of<pixels>(place, task.output_pixel_step, p), vcombine_u8(vqmovun_s16(low), vqmovun_s16(high)));
  }
}

inline uint8x16_t four_codes(const uint8_t *codes) {
  uint32_t four;
  std::memcpy(&four, codes, sizeof four);
  return vreinterpretq_u8_u32(vdupq_n_u32(four));
}

}  // namespace
}  // namespace cxr_edge::engine
