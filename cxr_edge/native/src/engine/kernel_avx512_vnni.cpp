// AVX-512 VNNI: a tile is 14 pixels x 32 filters in 28 registers; vpdpbusd adds four products of unsigned codes and signed
// weights without saturation.
#include <immintrin.h>

#include "convolution_tiles.h"
#include "pointwise.h"

namespace cxr_edge::engine {
namespace {

struct Avx512Vnni {
  using Sums = __m512i;
  using Input = __m512i;
  using Weights = __m512i;
  static constexpr int vectors = 1;
  static constexpr int panels = 2;
  static constexpr int largest = 14;

  static Sums start(const ConvolutionTask &task, size_t filter) { return _mm512_loadu_si512(task.bias + filter); }
  static Input input(const uint8_t *codes) {
    int32_t four;
    std::memcpy(&four, codes, sizeof four);
    return _mm512_set1_epi32(four);
  }
  static Weights weights(const int8_t *at) { return _mm512_loadu_si512(at); }
  static void add_products(Sums &sums, Input input, Weights weights) { sums = _mm512_dpbusd_epi32(sums, input, weights); }

  template <int pixels, int panel_count>
  CXR_EDGE_INLINE static void store(const Sums (&sums)[pixels][panel_count], const ConvolutionTask &task,
                                    const TilePlace &place, size_t filter) {
    const size_t step = task.output_pixel_step;
    const __m512 first = _mm512_loadu_ps(task.multiplier + filter);
    if constexpr (panel_count == 1) {
      unroll<pixels>([&](auto p) CXR_EDGE_INLINE_LAMBDA {
        store_16(output_of<pixels>(place, step, p.k), scaled(sums[p.k][0], first));
      });
    } else {
      const __m512 second = _mm512_loadu_ps(task.multiplier + filter + panel_width);
      unroll<pixels / 2>([&](auto pair) CXR_EDGE_INLINE_LAMBDA {
        constexpr int p = 2 * pair.k;
        store_2x32(output_of<pixels>(place, step, p), words(sums[p], first, second),
                   output_of<pixels>(place, step, p + 1), words(sums[p + 1], first, second));
      });
      if constexpr (pixels % 2 == 1) {
        constexpr int p = pixels - 1;
        store_16(output_of<pixels>(place, step, p), scaled(sums[p][0], first));
        store_16(output_of<pixels>(place, step, p) + panel_width, scaled(sums[p][1], second));
      }
    }
  }

 private:
  static __m512i scaled(__m512i sums, __m512 multiplier) {
    return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(sums), multiplier));
  }
  // 32 values as 16-bit words, saturated; each 128-bit lane holds four of the first panel, then four of the second.
  static __m512i words(const Sums (&sums)[2], __m512 first, __m512 second) {
    return _mm512_packs_epi32(scaled(sums[0], first), scaled(sums[1], second));
  }
  static void store_16(uint8_t *output, __m512i values) {
    const __m512i positive = _mm512_max_epi32(values, _mm512_setzero_si512());
    _mm_storeu_si128(reinterpret_cast<__m128i *>(output), _mm512_cvtusepi32_epi8(positive));
  }
  static void store_2x32(uint8_t *one, __m512i one_words, uint8_t *other, __m512i other_words) {
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    const __m512i codes = _mm512_permutexvar_epi32(order, _mm512_packus_epi16(one_words, other_words));
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(one), _mm512_castsi512_si256(codes));
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(other), _mm512_extracti64x4_epi64(codes, 1));
  }
};

// 64 channels of every pixel at a time: their parameters stay in registers. Compilers clamp what packus clamps anyway.
void affine(const PrologueTask &task) {
  const unsigned char *multipliers = task.parameters, *biases = multipliers + 2 * size_t{task.channels};
  // Words are packed within each 128-bit lane: this order of the 64-bit quarters makes the result come out in line.
  const __m512i order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
  for (uint32_t c = 0; c < task.channels; c += 64) {
    const __m512i multiplier[2] = {_mm512_loadu_si512(multipliers + 2 * c), _mm512_loadu_si512(multipliers + 2 * c + 64)};
    const __m512i bias[2] = {_mm512_loadu_si512(biases + 2 * c), _mm512_loadu_si512(biases + 2 * c + 64)};
    const uint8_t *input = task.input + c;
    uint8_t *output = task.output + c;
    for (uint32_t p = 0; p < task.pixels; ++p) {
      __m512i words[2];
      for (int half = 0; half < 2; ++half) {
        const auto *codes = reinterpret_cast<const __m256i *>(input + 32 * half);
        const __m512i products =
            _mm512_mullo_epi16(_mm512_cvtepu8_epi16(_mm256_loadu_si256(codes)), multiplier[half]);
        words[half] = _mm512_srai_epi16(_mm512_add_epi16(products, bias[half]), 4);
      }
      _mm512_storeu_si512(output, _mm512_permutexvar_epi64(order, _mm512_packus_epi16(words[0], words[1])));
      input += task.input_step;
      output += task.output_step;
    }
  }
}

constexpr Kernel with_affine(Kernel kernel) {
  kernel.affine = affine;
  return kernel;
}

}  // namespace

const Kernel avx512_vnni_kernel = with_affine(kernel_with(convolve<Avx512Vnni>));

}  // namespace cxr_edge::engine
