// Reads model.native: a flat file of a header, a table of operations and their sections (docs/native-engine.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace cxr_edge::engine {

constexpr size_t alignment = 64;
constexpr uint32_t panel_width = 16;    // filters whose weights lie together
constexpr uint32_t group_products = 4;  // neighbouring products of one filter
constexpr uint32_t stem_side = 7;
constexpr uint32_t stem_row = 8;  // a row of the stem's window is stored as 8 products, the last with weight 0

constexpr uint32_t code_max = 255;
constexpr uint32_t fine_max = 255 * 16;  // in sixteenths of a code

enum class Kind : uint32_t { stem = 1, bottleneck = 2, growth = 3, transition = 4, head = 5 };
enum class PrologueKind : uint32_t { none = 0, clamp = 1, affine = 2 };

// One operation; pointers into the file's bytes. Sections of a prologue are padded to whole 64 channels.
struct Operation {
  Kind kind;
  PrologueKind prologue;
  uint32_t in_channels;
  uint32_t out_channels;
  const unsigned char *prologue_section;
  const int8_t *weights;    // panels; of the head, int16 [out][in]
  const int32_t *bias;      // of the head, float
  const float *multiplier;  // of the head, followed by nothing else
};

struct Model {
  uint32_t height, width;  // of the input, pixels
  uint32_t outputs;
  uint32_t input_zero;
  float input_scale;
  std::vector<Operation> operations;
};

// Fills `model` from `bytes`, which must stay as they are while the model is used and start at a multiple of 64.
//
// Returns an empty string, or what is wrong with the file. Every byte that an operation will touch has then been found
// to lie inside the file, and no accumulator can leave 32 bits.
// Throws std::bad_alloc.
std::string read_model(const unsigned char *bytes, size_t size, Model &model);

}  // namespace cxr_edge::engine
