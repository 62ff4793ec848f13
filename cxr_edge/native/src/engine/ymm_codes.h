// Sums to codes in 256-bit registers, for the kernels with and without VNNI.
#pragma once

#include <immintrin.h>

#include "convolution_tiles.h"

namespace cxr_edge::engine {
namespace {

inline __m256i scaled(__m256i sums, __m256 multiplier) {
  return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(sums), multiplier));
}

template <int pixels>
void store_panel(const __m256i (&sums)[pixels][2], const ConvolutionTask &task, const TilePlace &place, size_t filter) {
  const __m256 first = _mm256_loadu_ps(task.multiplier + filter);
  const __m256 second = _mm256_loadu_ps(task.multiplier + filter + 8);
  const __m256i order = _mm256_set_epi32(7, 6, 3, 2, 5, 1, 4, 0);
  for (int p = 0; p < pixels; ++p) {
    const __m256i words = _mm256_packs_epi32(scaled(sums[p][0], first), scaled(sums[p][1], second));
    const __m256i codes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(words, words), order);
    _mm_storeu_si128(reinterpret_cast<__m128i *>(output_of<pixels>(place, task.output_pixel_step, p)),
                     _mm256_castsi256_si128(codes));
  }
}

}  // namespace
}  // namespace cxr_edge::engine
