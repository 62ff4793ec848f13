// Which kernels this build has and this processor runs.
#include <initializer_list>

#include "cxr_edge_engine.h"
#include "kernel.h"

#if defined(CXR_EDGE_X86_64)
#include <cpuid.h>
#elif defined(CXR_EDGE_AARCH64) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace cxr_edge::engine {
namespace {

#if defined(CXR_EDGE_X86_64)
// __builtin_cpu_supports also asks whether the operating system saves the registers, which AVX2 stands for here; it
// does not know AVX-VNNI in every compiler.
#if defined(CXR_EDGE_HAS_AVX_VNNI)
bool has_avx_vnni() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 &&
         (eax & (1U << 4)) != 0;
}
#endif
bool has_avx512_vnni() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}
#elif defined(CXR_EDGE_AARCH64)
bool has(unsigned long kind, unsigned bit) {
#if defined(__linux__)
  return (getauxval(kind) >> bit & 1U) != 0;
#else
  return false;
#endif
}
// Bits of Linux' arch/arm64/include/uapi/asm/hwcap.h: AT_HWCAP's ASIMDDP and AT_HWCAP2's I8MM.
bool has_dot_product() { return has(16, 20); }
#if defined(CXR_EDGE_HAS_I8MM)
bool has_i8mm() { return has_dot_product() && has(26, 13); }
#endif
#endif

constexpr int32_t fastest_first[] = {CXR_EDGE_KERNEL_AVX512_VNNI, CXR_EDGE_KERNEL_AVX_VNNI, CXR_EDGE_KERNEL_AVX2,
                                     CXR_EDGE_KERNEL_I8MM, CXR_EDGE_KERNEL_DOT_PRODUCT, CXR_EDGE_KERNEL_SCALAR};

int32_t best_level() {
  for (const int32_t level : fastest_first) {
    if (kernel_of(level) != nullptr) return level;
  }
  return CXR_EDGE_KERNEL_SCALAR;
}

}  // namespace

const Kernel *kernel_of(int32_t level) {
  switch (level) {
    case CXR_EDGE_KERNEL_BEST: return kernel_of(best_level());
    case CXR_EDGE_KERNEL_SCALAR: return &scalar_kernel;
#if defined(CXR_EDGE_X86_64)
    case CXR_EDGE_KERNEL_AVX2: return __builtin_cpu_supports("avx2") ? &avx2_kernel : nullptr;
#if defined(CXR_EDGE_HAS_AVX_VNNI)
    case CXR_EDGE_KERNEL_AVX_VNNI: return has_avx_vnni() ? &avx_vnni_kernel : nullptr;
#endif
    case CXR_EDGE_KERNEL_AVX512_VNNI: return has_avx512_vnni() ? &avx512_vnni_kernel : nullptr;
#elif defined(CXR_EDGE_AARCH64)
    case CXR_EDGE_KERNEL_DOT_PRODUCT: return has_dot_product() ? &dot_product_kernel : nullptr;
#if defined(CXR_EDGE_HAS_I8MM)
    case CXR_EDGE_KERNEL_I8MM: return has_i8mm() ? &i8mm_kernel : nullptr;
#endif
#endif
    default: return nullptr;
  }
}

}  // namespace cxr_edge::engine

const char *cxr_edge_kernel_name(int32_t kernel) {
  switch (kernel) {
    case CXR_EDGE_KERNEL_BEST: return cxr_edge_kernel_name(cxr_edge::engine::best_level());
    case CXR_EDGE_KERNEL_SCALAR: return "scalar";
    case CXR_EDGE_KERNEL_DOT_PRODUCT: return "neon-dot-product";
    case CXR_EDGE_KERNEL_I8MM: return "neon-i8mm";
    case CXR_EDGE_KERNEL_AVX2: return "avx2";
    case CXR_EDGE_KERNEL_AVX_VNNI: return "avx-vnni";
    case CXR_EDGE_KERNEL_AVX512_VNNI: return "avx512-vnni";
    default: return nullptr;
  }
}

int cxr_edge_kernel_available(int32_t kernel) { return cxr_edge::engine::kernel_of(kernel) != nullptr; }
