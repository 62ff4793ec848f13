// How fast this processor multiplies at most, as a kernel without memory accesses finds it.
#pragma once

#include <cstdint>

// Billions of 8-bit multiply-adds a second that `threads` threads reach together with 512-bit vpdpbusd; the best of some
// runs of a few milliseconds. 0 where the processor or the compiler has no AVX-512 VNNI.
double vnni_peak(uint32_t threads);
