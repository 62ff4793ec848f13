#include "arguments.h"

namespace cxr_edge {
namespace {

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

}  // namespace

size_t bytes_per_pixel(int32_t pixel_type) {
  return pixel_type == CXR_EDGE_UINT8 || pixel_type == CXR_EDGE_INT8 ? 1 : 2;
}

cxr_edge_status check_arguments(const cxr_edge_frame &frame, const cxr_edge_recipe &recipe, uint32_t out_height,
                                uint32_t out_width) {
  if (const auto status = check_frame(frame); status != CXR_EDGE_OK) return status;
  if (const auto status = check_recipe(recipe, frame); status != CXR_EDGE_OK) return status;
  return is_side(out_height) && is_side(out_width) ? CXR_EDGE_OK : CXR_EDGE_BAD_SIZE;
}

}  // namespace cxr_edge
