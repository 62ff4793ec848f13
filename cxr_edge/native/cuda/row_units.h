// Pixels as a thread reads them: units of 16 bytes, of 4, or of a single pixel, whatever the rows' alignment allows.
#pragma once

#include <cstdint>
#include <cstring>

#include "host_device.h"

// Arrays stay in registers only if every loop over them is unrolled.
#if defined(__CUDA_ARCH__)
#define CXR_EDGE_UNROLL _Pragma("unroll")
#else
#define CXR_EDGE_UNROLL
#endif

namespace cxr_edge {

template <uint32_t bytes>
struct Unit {
  static_assert(bytes == 16 || bytes == 4 || bytes == 2 || bytes == 1, "a GPU loads 1, 2, 4 or 16 bytes");
  uint32_t words[(bytes + 3) / 4];
};

// The unit at an address that is a multiple of its size, through the read-only path on a GPU: the frame does not change
// while the kernel runs, and neighbours share the rows and columns on their border.
template <uint32_t bytes>
CXR_EDGE_HOST_DEVICE inline Unit<bytes> load_unit(const unsigned char *address) {
  Unit<bytes> unit{};
#if defined(__CUDA_ARCH__)
  if constexpr (bytes == 16) {
    const uint4 words = __ldg(reinterpret_cast<const uint4 *>(address));
    unit.words[0] = words.x, unit.words[1] = words.y, unit.words[2] = words.z, unit.words[3] = words.w;
  } else if constexpr (bytes == 4) {
    unit.words[0] = __ldg(reinterpret_cast<const unsigned int *>(address));
  } else if constexpr (bytes == 2) {
    unit.words[0] = __ldg(reinterpret_cast<const unsigned short *>(address));
  } else {
    unit.words[0] = __ldg(address);
  }
#else
  std::memcpy(unit.words, address, bytes);
#endif
  return unit;
}

// Pixel `index` of a unit; the first lies in the lowest bits, as on every GPU and on the hosts that have one.
template <class Pixel, uint32_t bytes>
CXR_EDGE_HOST_DEVICE inline Pixel pixel_of(const Unit<bytes> &unit, uint32_t index) {
  constexpr uint32_t per_word = 4 / sizeof(Pixel);
  return static_cast<Pixel>(unit.words[index / per_word] >> (index % per_word * sizeof(Pixel) * 8));
}

}  // namespace cxr_edge
