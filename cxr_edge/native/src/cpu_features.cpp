#include "cpu_features.h"

#include <initializer_list>

namespace cxr_edge {
namespace {

// __builtin_cpu_supports also asks whether the operating system saves the registers.
bool runs_here(int32_t level) {
  switch (level) {
    case CXR_EDGE_SIMD_SCALAR: return true;
#if defined(CXR_EDGE_X86_64)
    case CXR_EDGE_SIMD_AVX2: return __builtin_cpu_supports("avx2");
    case CXR_EDGE_SIMD_AVX512: return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
#elif defined(CXR_EDGE_AARCH64)
    case CXR_EDGE_SIMD_NEON: return true;
#endif
    default: return false;
  }
}

}  // namespace

cxr_edge_simd resolve(int32_t simd) {
  if (simd != CXR_EDGE_SIMD_BEST) return runs_here(simd) ? static_cast<cxr_edge_simd>(simd) : CXR_EDGE_SIMD_BEST;
  for (const cxr_edge_simd level : {CXR_EDGE_SIMD_AVX512, CXR_EDGE_SIMD_AVX2, CXR_EDGE_SIMD_NEON}) {
    if (runs_here(level)) return level;
  }
  return CXR_EDGE_SIMD_SCALAR;
}

AddRows kernel_of(cxr_edge_simd level, int32_t pixel_type, RuleKind kind) {
  switch (level) {
#if defined(CXR_EDGE_X86_64)
    case CXR_EDGE_SIMD_AVX2: return avx2_kernel(pixel_type, kind);
    case CXR_EDGE_SIMD_AVX512: return avx512_kernel(pixel_type, kind);
#elif defined(CXR_EDGE_AARCH64)
    case CXR_EDGE_SIMD_NEON: return neon_kernel(pixel_type, kind);
#endif
    default: return scalar_kernel(pixel_type, kind);
  }
}

}  // namespace cxr_edge
