// What a caller of the C interface may get wrong about a frame, a recipe or an output, whoever computes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cxr_edge.h"

namespace cxr_edge {

// 1 or 2, for a valid pixel type.
size_t bytes_per_pixel(int32_t pixel_type);

// CXR_EDGE_OK, or the first thing found wrong. No pixel is looked at. Null pointers are for the caller to check.
cxr_edge_status check_arguments(const cxr_edge_frame &frame, const cxr_edge_recipe &recipe, uint32_t out_height,
                                uint32_t out_width);

}  // namespace cxr_edge
