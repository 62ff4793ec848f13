// Zeroed memory that starts at a cache line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "model_file.h"

namespace cxr_edge::engine {

struct Free {
  void operator()(uint8_t *memory) const { std::free(memory); }
};
using Bytes = std::unique_ptr<uint8_t[], Free>;

inline size_t whole_lines(size_t size) { return (size + alignment - 1) / alignment * alignment; }

// Throws std::bad_alloc.
inline Bytes zeroed_bytes(size_t size) {
  const size_t lines = whole_lines(size);
  auto *memory = static_cast<uint8_t *>(std::aligned_alloc(alignment, lines == 0 ? alignment : lines));
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory, 0, lines);
  return Bytes(memory);
}

}  // namespace cxr_edge::engine
