// The definition's last step, the only one that rounds: float32(double(S) * scale + offset).
#pragma once

#include <cstdint>

#include "host_device.h"

namespace cxr_edge {

// Three roundings to nearest, one an operation. A fused multiply-add would round twice: the host is compiled with
// -ffp-contract=off, and the device's intrinsics are never fused, whatever the options.
CXR_EDGE_HOST_DEVICE inline float map_sum(uint64_t sum, double scale, double offset) {
#if defined(__CUDA_ARCH__)
  return __double2float_rn(__dadd_rn(__dmul_rn(__ull2double_rn(sum), scale), offset));
#else
  return static_cast<float>(static_cast<double>(sum) * scale + offset);
#endif
}

}  // namespace cxr_edge
