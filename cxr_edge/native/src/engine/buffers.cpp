#include "buffers.h"

#include <algorithm>

namespace cxr_edge::engine {
namespace {

// Prologues read whole 64 channels, also of the last pixel.
constexpr size_t slack = alignment;

std::vector<Block> blocks_of(const Model &model) {
  std::vector<Block> blocks;
  for (const Operation &operation : model.operations) {
    if (operation.kind == Kind::stem) {
      blocks.push_back(Block{model.height / 4, model.width / 4, operation.out_channels, 0, nullptr, nullptr});
    } else if (operation.kind == Kind::transition) {
      blocks.push_back(
          Block{blocks.back().height / 2, blocks.back().width / 2, operation.out_channels, 0, nullptr, nullptr});
    } else if (operation.kind == Kind::bottleneck) {
      blocks.back().bottleneck = operation.out_channels;
    } else if (operation.kind == Kind::growth) {
      blocks.back().channels += operation.out_channels;
    }
  }
  return blocks;
}

size_t concatenation_bytes(const Block &block) { return whole_lines(block.height * block.row_step() + slack); }

size_t padded_bytes(const Block &block) { return whole_lines((block.height + 2) * block.padded_row_step() + slack); }

size_t scratch_bytes(const Model &model, const std::vector<Block> &blocks) {
  size_t most = 5 * stem_row_bytes(model);  // zeros, three rows of the ring, their maximum
  for (const Block &block : blocks) {
    most = std::max(most, rows_together(block.width) * block.width * prologue_step(block.channels));
  }
  return whole_lines(most + slack);
}

}  // namespace

Buffers::Buffers(const Model &model, uint32_t threads)
    : blocks(blocks_of(model)), image_row_step(whole_lines(size_t{model.width} + stem_row)) {
  const size_t image_bytes = (size_t{model.height} + stem_side - 1) * image_row_step;
  size_t size = image_bytes;
  for (const Block &block : blocks) size += concatenation_bytes(block) + padded_bytes(block);
  memory_ = zeroed_bytes(size);
  uint8_t *next = image = memory_.get();
  std::memset(image, static_cast<int>(model.input_zero), image_bytes);
  next += image_bytes;
  for (Block &block : blocks) {
    block.concatenation = next;
    next += concatenation_bytes(block);
    block.padded = next;
    next += padded_bytes(block);
  }
  scratch_size_ = scratch_bytes(model, blocks);
  scratch_ = zeroed_bytes(scratch_size_ * threads);
}

}  // namespace cxr_edge::engine
