// The C interface: checks every argument, then hands over to the exact arithmetic.
#include <new>

#include "arguments.h"
#include "cpu_features.h"
#include "cxr_edge.h"
#include "row_bands.h"

namespace cxr_edge {
namespace {

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
  if (const auto status = check_arguments(*frame, *recipe, out_height, out_width); status != CXR_EDGE_OK) return status;
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
