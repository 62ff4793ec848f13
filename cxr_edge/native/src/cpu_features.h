// Which SIMD levels this build has and this processor runs.
#pragma once

#include "row_kernels.h"

namespace cxr_edge {

// The level that `simd` asks for, CXR_EDGE_SIMD_BEST resolved; CXR_EDGE_SIMD_BEST itself when it cannot be had.
cxr_edge_simd resolve(int32_t simd);

// The kernel of a resolved level.
AddRows kernel_of(cxr_edge_simd level, int32_t pixel_type, RuleKind kind);

}  // namespace cxr_edge
