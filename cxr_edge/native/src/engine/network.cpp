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

}  // namespace cxr_edge::engine
