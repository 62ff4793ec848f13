#include "network.h"

#include <algorithm>

namespace cxr_edge::engine {
namespace {

uint32_t segments_of(Kind kind) { return kind == Kind::stem ? stem_side : kind == Kind::growth ? 3 : 1; }

uint32_t run_products(const Operation &operation) {
  switch (operation.kind) {
    case Kind::stem: return stem_row;
    case Kind::growth: return 3 * operation.in_channels;
    default: return operation.in_channels;
  }
}

// Sums of each filter's weights, for all operations one after the other.
std::vector<int32_t> sums_of_weights(const Model &model, const Kernel &kernel) {
  std::vector<int32_t> sums;
  if (!kernel.needs_weight_sums) return sums;
  for (const Operation &operation : model.operations) {
    if (operation.kind == Kind::head) continue;
    const size_t groups = size_t{segments_of(operation.kind)} * run_products(operation) / group_products;
    const int8_t *weights = operation.weights;
    for (uint32_t panel = 0; panel < operation.out_channels / panel_width; ++panel) {
      int32_t of_panel[panel_width] = {};
      for (size_t k = 0; k < groups * panel_width * group_products; ++k) {
        of_panel[k / group_products % panel_width] += *weights++;
      }
      sums.insert(sums.end(), of_panel, of_panel + panel_width);
    }
  }
  return sums;
}

}  // namespace

Network::Network(Bytes bytes, Model model, const Kernel &kernel, uint32_t threads)
    : bytes_(std::move(bytes)),
      model_(std::move(model)),
      kernel_(kernel),
      weight_sums_(sums_of_weights(model_, kernel)),
      buffers_(model_, threads),
      team_(threads) {
  size_t at = 0;
  for (const Operation &operation : model_.operations) {
    weight_sums_at_.push_back(at);
    at += operation.out_channels;
  }
}

bool Network::infer(const float *image, float *logit, float *cam) {
  const std::lock_guard<std::mutex> lock(mutex_);
  input_ = image;
  logit_ = logit;
  cam_ = cam;
  finite_.store(true, std::memory_order_relaxed);
  team_.run([](void *network, uint32_t thread) { static_cast<Network *>(network)->run_part(thread); }, this);
  return finite_.load(std::memory_order_relaxed);
}

void Network::run_part(uint32_t thread) {
  if (thread == 0 && nanoseconds_ != nullptr) step_begin_ = std::chrono::steady_clock::now();
  image_rows(thread);
  uint32_t step = 0;
  end_step(thread, step++);
  if (!finite_.load(std::memory_order_relaxed)) return;
  const Block *block = buffers_.blocks.data();
  uint32_t channel = 0;
  for (const Operation &operation : model_.operations) {
    switch (operation.kind) {
      case Kind::stem:
        stem(thread);
        channel = operation.out_channels;
        break;
      case Kind::bottleneck: bottleneck(operation, *block, thread); break;
      case Kind::growth:
        growth(operation, *block, channel, thread);
        channel += operation.out_channels;
        break;
      case Kind::transition:
        transition(operation, block[0], block[1], thread);
        channel = operation.out_channels;
        ++block;
        break;
      case Kind::head: head(operation, *block, thread); break;
    }
    end_step(thread, step++);
  }
  if (thread == 0) means();
}

void Network::end_step(uint32_t thread, uint32_t step) {
  team_.meet();
  if (thread != 0 || nanoseconds_ == nullptr) return;
  const auto now = std::chrono::steady_clock::now();
  nanoseconds_[step] = static_cast<uint64_t>(std::chrono::nanoseconds(now - step_begin_).count());
  step_begin_ = now;
}

Part Network::part(uint32_t count, uint32_t together, uint32_t thread) const {
  const uint64_t units = (count + together - 1) / together;
  const auto edge = [&](uint64_t index) {
    // Rounded up: the first threads get the larger parts, the last one a unit that may not be whole.
    const uint64_t unit = (index * units + team_.size() - 1) / team_.size();
    return static_cast<uint32_t>(std::min<uint64_t>(unit * together, count));
  };
  return Part{edge(thread), edge(thread + 1)};
}

ConvolutionTask Network::task_of(const Operation &operation) const {
  ConvolutionTask task{};
  task.segments = segments_of(operation.kind);
  task.segment_groups = run_products(operation) / group_products;
  task.segment_step = run_products(operation);
  task.panels = operation.out_channels / panel_width;
  task.weights = operation.weights;
  task.bias = operation.bias;
  task.multiplier = operation.multiplier;
  if (kernel_.needs_weight_sums) {
    task.weight_sums = weight_sums_.data() + weight_sums_at_[&operation - model_.operations.data()];
  }
  return task;
}

void Network::image_rows(uint32_t thread) {
  const Part rows = part(model_.height, 1, thread);
  for (uint32_t y = rows.begin; y < rows.end; ++y) {
    const ImageRowTask task{input_ + size_t{y} * model_.width, model_.width, model_.input_scale,
                            static_cast<float>(model_.input_zero),
                            buffers_.image + (y + stem_side / 2) * buffers_.image_row_step + stem_side / 2};
    if (!kernel_.image_row(task)) finite_.store(false, std::memory_order_relaxed);
  }
}

void Network::stem_row(uint32_t row, uint8_t *output) const {
  ConvolutionTask task = task_of(model_.operations[0]);
  task.input = buffers_.image + size_t{2} * row * buffers_.image_row_step;
  task.pixel_step = 2;
  task.segment_step = buffers_.image_row_step;
  task.rows = 1;
  task.columns = model_.width / 2;
  task.output = output;
  task.output_pixel_step = model_.operations[0].out_channels;
  kernel_.convolve(task);
}

// The convolution's rows go through a ring of three and are pooled while they are still in the first-level cache. Above
// the first row lies a row of zeros, the lowest code; the network's strides leave none to be added below.
void Network::stem(uint32_t thread) {
  const Block &block = buffers_.blocks.front();
  const uint32_t channels = model_.operations[0].out_channels;
  const size_t row_bytes = stem_row_bytes(model_);
  uint8_t *const zeros = buffers_.scratch(thread);
  uint8_t *const ring = zeros + row_bytes;
  std::memset(zeros, 0, 5 * row_bytes);
  const auto slot = [&](uint32_t row) { return ring + row % 3 * row_bytes; };
  const Part rows = part(block.height, 1, thread);
  if (rows.begin > 0 && rows.begin < rows.end) stem_row(2 * rows.begin - 1, slot(2 * rows.begin - 1) + channels);
  for (uint32_t y = rows.begin; y < rows.end; ++y) {
    for (const uint32_t row : {2 * y, 2 * y + 1}) stem_row(row, slot(row) + channels);
    const PoolTask task{{y == 0 ? zeros : slot(2 * y - 1), slot(2 * y), slot(2 * y + 1)},
                        ring + 3 * row_bytes,
                        block.width,
                        channels,
                        block.concatenation + y * block.row_step(),
                        block.pixel_step()};
    kernel_.maximum_pool(task);
  }
}

void Network::bottleneck(const Operation &operation, const Block &block, uint32_t thread) const {
  const auto prologue = operation.prologue == PrologueKind::clamp ? kernel_.clamp : kernel_.affine;
  const uint32_t together = rows_together(block.width);
  const Part rows = part(block.height, together, thread);
  uint8_t *const codes = buffers_.scratch(thread);
  ConvolutionTask task = task_of(operation);
  task.input = codes;
  task.pixel_step = prologue_step(operation.in_channels);
  task.row_step = block.width * task.pixel_step;
  task.columns = block.width;
  task.output_pixel_step = operation.out_channels;
  task.output_row_step = block.padded_row_step();
  for (uint32_t y = rows.begin; y < rows.end; y += together) {
    task.rows = std::min(together, rows.end - y);
    const PrologueTask whole{block.concatenation + y * block.row_step(), block.pixel_step(), 0,
                             task.rows * block.width, static_cast<uint32_t>(whole_lines(operation.in_channels)),
                             operation.prologue_section, codes, task.pixel_step};
    prologue(whole);
    task.output = block.padded + (y + 1) * block.padded_row_step() + block.bottleneck;
    kernel_.convolve(task);
  }
}

void Network::growth(const Operation &operation, const Block &block, uint32_t channel, uint32_t thread) const {
  const Part rows = part(block.height, rows_together(block.width), thread);
  ConvolutionTask task = task_of(operation);
  task.input = block.padded + rows.begin * block.padded_row_step();
  task.pixel_step = block.bottleneck;
  task.row_step = task.segment_step = block.padded_row_step();
  task.rows = rows.end - rows.begin;
  task.columns = block.width;
  task.output = block.concatenation + rows.begin * block.row_step() + channel;
  task.output_pixel_step = block.pixel_step();
  task.output_row_step = block.row_step();
  kernel_.convolve(task);
}

void Network::transition(const Operation &operation, const Block &from, const Block &to, uint32_t thread) const {
  const uint32_t together = rows_together(to.width);
  const Part rows = part(to.height, together, thread);
  uint8_t *const codes = buffers_.scratch(thread);
  ConvolutionTask task = task_of(operation);
  task.input = codes;
  task.pixel_step = prologue_step(operation.in_channels);
  task.row_step = to.width * task.pixel_step;
  task.columns = to.width;
  task.output_pixel_step = to.pixel_step();
  task.output_row_step = to.row_step();
  for (uint32_t y = rows.begin; y < rows.end; y += together) {
    task.rows = std::min(together, rows.end - y);
    for (uint32_t row = 0; row < task.rows; ++row) {
      const PrologueTask pooled{from.concatenation + 2 * (y + row) * from.row_step(), from.pixel_step(),
                                from.row_step(), to.width,
                                static_cast<uint32_t>(whole_lines(operation.in_channels)),
                                operation.prologue_section, codes + row * task.row_step, task.pixel_step};
      kernel_.pooled_affine(pooled);
    }
    task.output = to.concatenation + y * to.row_step();
    kernel_.convolve(task);
  }
}

void Network::head(const Operation &operation, const Block &block, uint32_t thread) const {
  const uint32_t cells = block.height * block.width;
  const Part pixels = part(cells, 1, thread);
  const auto *weights = reinterpret_cast<const int16_t *>(operation.weights);
  const auto *bias = reinterpret_cast<const float *>(operation.bias);
  for (uint32_t k = 0; k < operation.out_channels; ++k) {
    const HeadTask task{block.concatenation + pixels.begin * block.pixel_step(), block.pixel_step(),
                        pixels.end - pixels.begin, operation.in_channels, operation.prologue_section,
                        weights + size_t{k} * operation.in_channels, operation.multiplier[k], bias[k],
                        cam_ + size_t{k} * cells + pixels.begin};
    kernel_.head(task);
  }
}

void Network::means() const {
  const uint32_t cells = map_height() * map_width();
  for (uint32_t k = 0; k < model_.outputs; ++k) {
    double total = 0.0;
    for (uint32_t cell = 0; cell < cells; ++cell) total += static_cast<double>(cam_[size_t{k} * cells + cell]);
    logit_[k] = static_cast<float>(total / cells);
  }
}

}  // namespace cxr_edge::engine
