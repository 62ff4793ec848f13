// The arithmetic of the engine, once for each instruction set; all give the same bits (docs/native-engine.md).
#pragma once

#include <cstddef>
#include <cstdint>

namespace cxr_edge::engine {

// A rectangle of output pixels of a convolution. The window of a pixel is `segments` runs of bytes, one for each row of
// the filter; within a run, pixels and channels lie one after the other, so that nothing has to be rearranged.
struct ConvolutionTask {
  const uint8_t *input;     // the first pixel's window
  size_t pixel_step;        // bytes from a pixel's window to the next one's
  size_t row_step;          // bytes from the first pixel's window in a row to that in the next row
  size_t segment_step;      // bytes from a run to the next
  uint32_t segments;        // runs in a window
  uint32_t segment_groups;  // groups of four bytes in a run
  uint32_t rows, columns;   // output pixels
  uint32_t panels;          // of 16 filters each
  const int8_t *weights;    // [panel][segment][group][16][4]
  const int32_t *bias;      // [panel][16]
  const float *multiplier;  // [panel][16]
  const int32_t *weight_sums;  // [panel][16], of all weights of a filter; null unless the kernel asks for them
  uint8_t *output;             // the first pixel's first code
  size_t output_pixel_step, output_row_step;  // bytes
};

// What a prologue does with a run of pixels. `channels` is a multiple of 64; the parameters of channels beyond the
// network's own are zeros, and what they read is never used.
struct PrologueTask {
  const uint8_t *input;
  size_t input_step;  // bytes from a pixel to the next
  size_t input_row_step;  // bytes from a row to the next; only pooling looks at the second row
  uint32_t pixels;        // of the output
  uint32_t channels;
  const unsigned char *parameters;  // a section of the file
  uint8_t *output;
  size_t output_step;
};

struct PoolTask {
  const uint8_t *rows[3];  // input rows, each with a column of zeros before its first pixel
  uint8_t *highest;        // room for a row
  uint32_t pixels;         // of the output
  uint32_t channels;
  uint8_t *output;
  size_t output_step;
};

struct HeadTask {
  const uint8_t *input;
  size_t input_step;
  uint32_t pixels, channels;
  const unsigned char *parameters;
  const int16_t *weights;  // of one output, [channels]
  float multiplier, bias;
  float *output;
};

struct ImageRowTask {
  const float *pixels;
  uint32_t count;
  float scale, zero;
  uint8_t *codes;
};

struct Kernel {
  bool needs_weight_sums;
  void (*convolve)(const ConvolutionTask &);
  void (*clamp)(const PrologueTask &);
  void (*affine)(const PrologueTask &);
  void (*pooled_affine)(const PrologueTask &);  // 2x2 averages
  void (*maximum_pool)(const PoolTask &);
  void (*head)(const HeadTask &);
  bool (*image_row)(const ImageRowTask &);  // false when a pixel is not finite
};

// The kernel of a level (cxr_edge_kernel in cxr_edge.h), or null where this build or processor does not have it.
const Kernel *kernel_of(int32_t level);

extern const Kernel scalar_kernel;
#if defined(CXR_EDGE_X86_64)
extern const Kernel avx2_kernel;
extern const Kernel avx_vnni_kernel;
extern const Kernel avx512_vnni_kernel;
#elif defined(CXR_EDGE_AARCH64)
extern const Kernel dot_product_kernel;
extern const Kernel i8mm_kernel;
#endif

}  // namespace cxr_edge::engine
