// All memory of an inference, laid out once when the engine is opened.
#pragma once

#include <vector>

#include "memory.h"
#include "model_file.h"

namespace cxr_edge::engine {

// A dense block: its concatenation, in which every layer writes its channels in place, and the input of its 3x3
// convolutions, with a border of zeros that is never written.
struct Block {
  uint32_t height, width;
  uint32_t channels;    // after the last layer: bytes from a pixel of the concatenation to the next
  uint32_t bottleneck;  // channels of the 3x3 convolutions' input
  uint8_t *concatenation;
  uint8_t *padded;

  size_t pixel_step() const { return channels; }
  size_t row_step() const { return size_t{width} * channels; }
  size_t padded_row_step() const { return (size_t{width} + 2) * bottleneck; }
};

struct Buffers {
  explicit Buffers(const Model &model, uint32_t threads);

  uint8_t *scratch(uint32_t thread) const { return scratch_.get() + thread * scratch_size_; }

  std::vector<Block> blocks;
  uint8_t *image;         // codes with a border of three pixels of 0.0
  size_t image_row_step;  // bytes

 private:
  Bytes memory_, scratch_;
  size_t scratch_size_;
};

// How many rows are worked on together: two where a row leaves half a tile of fourteen pixels over.
inline uint32_t rows_together(uint32_t width) { return width % 14 >= 7 ? 2 : 1; }

// Bytes from a pixel to the next of what a prologue writes: one cache line more than the channels, so that the pixels of
// a tile don't compete for the same lines of the first-level cache.
inline size_t prologue_step(uint32_t channels) { return whole_lines(channels) + alignment; }

// A row of the stem's output before pooling, with a zero pixel before the first.
inline size_t stem_row_bytes(const Model &model) {
  return whole_lines((size_t{model.width} / 2 + 1) * model.operations[0].out_channels);
}

}  // namespace cxr_edge::engine
