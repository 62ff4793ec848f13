// The steps of an inference, each for one thread's rows or pixels.
#include <algorithm>

#include "network.h"

namespace cxr_edge::engine {

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
