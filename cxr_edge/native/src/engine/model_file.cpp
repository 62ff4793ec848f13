#include "model_file.h"

#include <cmath>
#include <cstring>

namespace cxr_edge::engine {
namespace {

constexpr unsigned char magic[8] = {'C', 'X', 'R', 'N', 'A', 'T', 'I', 'V'};
constexpr uint32_t version = 1;
constexpr uint32_t max_side = 4096;
constexpr uint32_t max_channels = 4096;
constexpr uint32_t max_operations = 1024;
constexpr uint32_t max_outputs = 256;
constexpr float multiplier_max = 0.5F;

// The header and a row of the table as they lie in the file; both are little-endian, as every supported machine is.
struct Header {
  unsigned char magic[8];
  uint32_t version, operations;
  uint64_t bytes;
  uint32_t height, width, outputs, input_zero;
  float input_scale;
  unsigned char reserved[20];
};
static_assert(sizeof(Header) == 64, "the file's header has 64 bytes");

struct Row {
  uint32_t kind, prologue, in_channels, out_channels;
  uint64_t prologue_offset, weights_offset, bias_offset, multiplier_offset;
  unsigned char reserved[16];
};
static_assert(sizeof(Row) == 64, "a row of the file's table has 64 bytes");

uint64_t aligned(uint64_t size) { return (size + alignment - 1) / alignment * alignment; }

std::string at(uint32_t index, const char *what) { return "operation " + std::to_string(index) + ": " + what; }

// Walks the sections: each must begin where the one before it ended.
class Sections {
 public:
  Sections(const unsigned char *bytes, uint64_t size, uint64_t first) : bytes_(bytes), size_(size), cursor_(first) {}

  // The section, or null when it lies elsewhere or leaves the file. Sizes come from counts that are bounded already.
  const unsigned char *take(uint64_t offset, uint64_t size) {
    const uint64_t end = cursor_ + aligned(size);
    if (offset != cursor_ || end > size_) return nullptr;
    cursor_ = end;
    return bytes_ + offset;
  }
  bool at_end() const { return cursor_ == size_; }

 private:
  const unsigned char *bytes_;
  uint64_t size_, cursor_;
};

uint64_t products_of(const Operation &operation) {
  switch (operation.kind) {
    case Kind::stem: return stem_side * stem_row;
    case Kind::growth: return uint64_t{9} * operation.in_channels;
    default: return operation.in_channels;
  }
}

bool take_prologue(Sections &sections, const Row &row, Operation &operation) {
  const uint64_t channels = aligned(row.in_channels);
  if (operation.prologue == PrologueKind::none) return row.prologue_offset == 0;
  const uint64_t each = operation.prologue == PrologueKind::clamp ? 1 : 2;
  operation.prologue_section = sections.take(row.prologue_offset, 2 * each * channels);
  return operation.prologue_section != nullptr;
}

bool take_sections(Sections &sections, const Row &row, Operation &operation) {
  const uint64_t out = row.out_channels;
  const uint64_t weight_bytes = operation.kind == Kind::head ? 2 : 1;
  if (!take_prologue(sections, row, operation)) return false;
  const auto *weights = sections.take(row.weights_offset, out * products_of(operation) * weight_bytes);
  const auto *bias = sections.take(row.bias_offset, out * 4);
  const auto *multiplier = sections.take(row.multiplier_offset, out * 4);
  if (weights == nullptr || bias == nullptr || multiplier == nullptr) return false;
  operation.weights = reinterpret_cast<const int8_t *>(weights);
  operation.bias = reinterpret_cast<const int32_t *>(bias);
  operation.multiplier = reinterpret_cast<const float *>(multiplier);
  return true;
}

// Kinds and prologues go together; the clamp form leaves no room for the averages of a transition or head.
bool prologue_fits(Kind kind, PrologueKind prologue) {
  switch (kind) {
    case Kind::stem:
    case Kind::growth: return prologue == PrologueKind::none;
    case Kind::bottleneck: return prologue != PrologueKind::none;
    case Kind::transition:
    case Kind::head: return prologue == PrologueKind::affine;
  }
  return false;
}

bool is_panel_count(uint32_t channels) { return channels >= 1 && channels <= max_channels && channels % panel_width == 0; }

bool affine_fits_16_bits(const Operation &operation) {
  if (operation.prologue != PrologueKind::affine) return true;
  const auto *multiplier = reinterpret_cast<const int16_t *>(operation.prologue_section);
  const int16_t *bias = multiplier + aligned(operation.in_channels);
  for (uint32_t c = 0; c < operation.in_channels; ++c) {
    const int32_t last = 255 * multiplier[c] + bias[c];
    if (last < INT16_MIN || last > INT16_MAX) return false;
  }
  return true;
}

bool accumulators_fit_32_bits(const Operation &operation) {
  const int64_t room = INT32_MAX - static_cast<int64_t>(products_of(operation)) * code_max * 128;
  for (uint32_t c = 0; c < operation.out_channels; ++c) {
    if (std::abs(int64_t{operation.bias[c]}) > room) return false;
    if (!(operation.multiplier[c] >= 0.0F && operation.multiplier[c] <= multiplier_max)) return false;
  }
  return true;
}

bool head_fits_32_bits(const Operation &head) {
  const auto *weights = reinterpret_cast<const int16_t *>(head.weights);
  const auto *bias = reinterpret_cast<const float *>(head.bias);
  for (uint32_t k = 0; k < head.out_channels; ++k) {
    int64_t total = 0;
    for (uint32_t c = 0; c < head.in_channels; ++c) total += std::abs(int32_t{weights[k * head.in_channels + c]});
    if (total * fine_max > INT32_MAX) return false;
    if (!std::isfinite(bias[k]) || !std::isfinite(head.multiplier[k])) return false;
  }
  return true;
}

// Follows the network through its operations: what may come next, and how many channels there are.
class Walk {
 public:
  explicit Walk(const Header &header) : height_(header.height / 4), width_(header.width / 4), header_(header) {}

  // Null, or why this operation cannot come here.
  const char *step(const Operation &operation) {
    const bool first = previous_ == Kind::head;
    if ((operation.kind == Kind::stem) != first) return "a stem comes first, and only there";
    if (operation.kind == Kind::head ? operation.out_channels != header_.outputs
                                     : !is_panel_count(operation.out_channels)) {
      return "output channels are no multiple of 16 up to 4096, or not the header's";
    }
    if (operation.in_channels != expected_channels(operation.kind)) return "input channels are not those there are";
    if ((previous_ == Kind::bottleneck) != (operation.kind == Kind::growth)) return "a 3x3 belongs after a bottleneck";
    if (operation.kind == Kind::bottleneck && bottleneck_ != 0 && operation.out_channels != bottleneck_) {
      return "the bottlenecks of a block differ in width";
    }
    const bool ends_block = operation.kind == Kind::transition || operation.kind == Kind::head;
    if (ends_block && previous_ != Kind::growth) return "a block without layers";
    advance(operation);
    if (channels_ > max_channels) return "more than 4096 channels";
    return height_ == 0 || width_ == 0 ? "the image is too small for another transition" : nullptr;
  }
  bool complete() const { return finished_; }
  bool sides_divide() const {
    return header_.height % (4 << transitions_) == 0 && header_.width % (4 << transitions_) == 0;
  }

 private:
  uint32_t expected_channels(Kind kind) const {
    if (kind == Kind::stem) return 1;
    return kind == Kind::growth ? bottleneck_ : channels_;
  }
  void advance(const Operation &operation) {
    switch (operation.kind) {
      case Kind::bottleneck: bottleneck_ = operation.out_channels; break;
      case Kind::growth: channels_ += operation.out_channels; break;
      case Kind::transition: ++transitions_, height_ /= 2, width_ /= 2, bottleneck_ = 0; [[fallthrough]];
      case Kind::stem: channels_ = operation.out_channels; break;
      case Kind::head: finished_ = true; break;
    }
    previous_ = operation.kind;
  }

  uint32_t height_, width_, channels_ = 0, bottleneck_ = 0, transitions_ = 0;
  bool finished_ = false;
  Kind previous_ = Kind::head;  // before the stem as after the head nothing but a stem could follow
  const Header &header_;
};

std::string check_header(const Header &header, size_t size) {
  if (std::memcmp(header.magic, magic, sizeof magic) != 0) return "the first bytes are not those of model.native";
  if (header.version != version) {
    return "version " + std::to_string(header.version) + "; this library reads version " + std::to_string(version);
  }
  if (header.bytes != size) {
    return "the header says " + std::to_string(header.bytes) + " bytes, the file has " + std::to_string(size);
  }
  const bool sides = header.height >= 4 && header.height <= max_side && header.width >= 4 && header.width <= max_side;
  if (!sides) return "a side of the input is not in 4..4096 pixels";
  if (header.outputs < 1 || header.outputs > max_outputs) return "outputs are not in 1..256";
  if (header.input_zero > code_max) return "the code of 0.0 is above 255";
  if (!std::isfinite(header.input_scale) || header.input_scale <= 0.0F) return "the input scale is no positive number";
  if (header.operations < 4 || header.operations > max_operations) return "operations are not in 4..1024";
  if (sizeof(Header) + header.operations * sizeof(Row) > size) return "the table of operations leaves the file";
  return {};
}

std::string read_operation(uint32_t index, const Row &row, Walk &walk, Sections &sections, Operation &operation) {
  operation = Operation{};
  operation.kind = static_cast<Kind>(row.kind);
  operation.prologue = static_cast<PrologueKind>(row.prologue);
  operation.in_channels = row.in_channels;
  operation.out_channels = row.out_channels;
  if (row.kind < 1 || row.kind > 5) return at(index, "unknown kind");
  if (!prologue_fits(operation.kind, operation.prologue)) return at(index, "this kind cannot have this prologue");
  if (const char *problem = walk.step(operation)) return at(index, problem);
  if (!take_sections(sections, row, operation)) return at(index, "sections are not where the table says they are");
  if (!affine_fits_16_bits(operation)) return at(index, "a prologue leaves 16 bits");
  const bool fits = operation.kind == Kind::head ? head_fits_32_bits(operation) : accumulators_fit_32_bits(operation);
  return fits ? std::string() : at(index, "a bias or multiplier is out of range");
}

}  // namespace

std::string read_model(const unsigned char *bytes, size_t size, Model &model) {
  if (size < sizeof(Header)) return "the file has " + std::to_string(size) + " bytes; the header alone has 64";
  if (reinterpret_cast<uintptr_t>(bytes) % alignment != 0) return "the bytes do not start at a multiple of 64";
  Header header;
  std::memcpy(&header, bytes, sizeof header);
  if (std::string problem = check_header(header, size); !problem.empty()) return problem;
  model = Model{header.height, header.width, header.outputs, header.input_zero, header.input_scale, {}};
  model.operations.resize(header.operations);
  Walk walk(header);
  Sections sections(bytes, size, sizeof(Header) + uint64_t{header.operations} * sizeof(Row));
  for (uint32_t index = 0; index < header.operations; ++index) {
    Row row;
    std::memcpy(&row, bytes + sizeof(Header) + index * sizeof row, sizeof row);
    std::string problem = read_operation(index, row, walk, sections, model.operations[index]);
    if (!problem.empty()) return problem;
  }
  if (!walk.complete()) return "the table ends without a head";
  if (!walk.sides_divide()) return "the network's strides do not divide the input's sides";
  return sections.at_end() ? std::string() : "bytes follow after the last section";
}

}  // namespace cxr_edge::engine
