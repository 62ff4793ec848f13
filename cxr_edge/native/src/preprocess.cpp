// The C interface: checks every argument, then hands over to the exact arithmetic.
#include <new>

#include "cpu_features.h"
#include "cxr_edge.h"
#include "row_bands.h"

namespace cxr_edge {
namespace {

size_t bytes_per_pixel(int32_t pixel_type) {
  return pixel_type == CXR_EDGE_UINT8 || pixel_type == CXR_EDGE_INT8 ? 1 : 2;
}

bool is_side(uint32_t pixels) { return pixels >= 1 && pixels <= CXR_EDGE_MAX_SIDE; }

cxr_edge_status check_frame(const cxr_edge_frame &frame) {
  if (frame.pixel_type < CXR_EDGE_UINT8 || frame.pixel_type > CXR_EDGE_INT16) return CXR_EDGE_BAD_PIXEL_TYPE;
  if (frame.height == 0 || frame.width == 0) return CXR_EDGE_BAD_SIZE;
  const size_t size = bytes_per_pixel(frame.pixel_type);
  const bool aligned = frame.row_stride % size == 0 && reinterpret_cast<uintptr_t>(frame.pixels) % size == 0;
  if (!aligned || frame.row_stride / size < frame.width) return CXR_EDGE_BAD_STRIDE;
  return CXR_EDGE_OK;
}

cxr_edge_status check_recipe(const cxr_edge_recipe &recipe, const cxr_edge_frame &frame) {
  const bool inside = recipe.crop_height >= 1 && recipe.crop_width >= 1 &&
                      uint64_t{recipe.crop_top} + recipe.crop_height <= frame.height &&
                      uint64_t{recipe.crop_left} + recipe.crop_width <= frame.width;
  if (!inside) return CXR_EDGE_BAD_CROP;
  if (!is_side(recipe.crop_height) || !is_side(recipe.crop_width)) return CXR_EDGE_BAD_SIZE;
  const int64_t span = int64_t{recipe.window_hi} - recipe.window_lo;
  return span >= 1 && span <= 65535 ? CXR_EDGE_OK : CXR_EDGE_BAD_WINDOW;
}

Resampling resampling_of(const cxr_edge_frame &frame, const cxr_edge_recipe &recipe, float *out, uint32_t out_height,
                         uint32_t out_width, cxr_edge_simd level) {
  Resampling job{};
  job.pixels = static_cast<const unsigned char *>(frame.pixels) + recipe.crop_top * frame.row_stride +
               recipe.crop_left * bytes_per_pixel(frame.pixel_type);
  job.row_stride = frame.row_stride;
  job.height = recipe.crop_height;
  job.width = recipe.crop_width;
  job.rule = pixel_rule(recipe, frame.pixel_type);
  job.add_rows = kernel_of(level, frame.pixel_type, job.rule.kind);
  job.columns = plan_columns(job.width, out_width);
  job.out_height = out_height;
  job.scale = recipe.scale;
  job.offset = recipe.offset;
  job.out = out;
  return job;
}

}  // namespace
}  // namespace cxr_edge

cxr_edge_status cxr_edge_preprocess(const cxr_edge_frame *frame, const cxr_edge_recipe *recipe, float *out,
                                    uint32_t out_height, uint32_t out_width, int32_t simd, uint32_t threads) {
  using namespace cxr_edge;
  if (frame == nullptr || recipe == nullptr || out == nullptr || frame->pixels == nullptr) return CXR_EDGE_NULL_POINTER;
  if (const auto status = check_frame(*frame); status != CXR_EDGE_OK) return status;
  if (const auto status = check_recipe(*recipe, *frame); status != CXR_EDGE_OK) return status;
  if (!is_side(out_height) || !is_side(out_width)) return CXR_EDGE_BAD_SIZE;
  if (threads == 0) return CXR_EDGE_BAD_THREADS;
  const cxr_edge_simd level = resolve(simd);
  if (level == CXR_EDGE_SIMD_BEST) return CXR_EDGE_BAD_SIMD;
  try {
    resample_in_bands(resampling_of(*frame, *recipe, out, out_height, out_width, level), threads);
  } catch (const std::bad_alloc &) {
    return CXR_EDGE_OUT_OF_MEMORY;
  }
  return CXR_EDGE_OK;
}

int cxr_edge_simd_available(int32_t simd) { return cxr_edge::resolve(simd) != CXR_EDGE_SIMD_BEST; }

cxr_edge_simd cxr_edge_simd_best(void) { return cxr_edge::resolve(CXR_EDGE_SIMD_BEST); }
