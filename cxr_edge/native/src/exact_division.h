// Division by a number that is known before the work begins: three multiplications in place of the twenty-odd
// instructions that a GPU, which has no integer divider, spends on one.
#pragma once

#include <cstdint>

#include "host_device.h"

namespace cxr_edge {

// floor(n / divisor) for every 32-bit n and divisor >= 1. With r = floor((2^64 - 1) / d) + 1 = (2^64 + e) / d and
// 0 < e <= d, the high half of n * r is the quotient because n * e < 2^64 (Lemire, Kaser, Kurz: Faster remainder by
// direct computation, 2019).
class ExactDivision {
 public:
  ExactDivision() = default;
  explicit constexpr ExactDivision(uint32_t divisor) : divisor_(divisor), reciprocal_(UINT64_MAX / divisor + 1) {}

  CXR_EDGE_HOST_DEVICE constexpr uint32_t operator()(uint32_t n) const {
    if (divisor_ == 1) return n;  // its reciprocal, 2^64, does not fit
    const uint64_t high = reciprocal_ >> 32, low = reciprocal_ & UINT32_MAX;
    return static_cast<uint32_t>((n * high + (n * low >> 32)) >> 32);
  }

 private:
  uint32_t divisor_ = 1;
  uint64_t reciprocal_ = 0;
};

}  // namespace cxr_edge
