// One network, loaded and ready: memory, threads and kernel, and the steps of an inference.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <vector>

#include "buffers.h"
#include "kernel.h"
#include "memory.h"
#include "model_file.h"
#include "team.h"

namespace cxr_edge::engine {

// Rows (or pixels) of one thread.
struct Part {
  uint32_t begin, end;
};

class Network {
 public:
  // `bytes` were read by read_model() into `model`. Throws std::bad_alloc.
  Network(Bytes bytes, Model model, const Kernel &kernel, uint32_t threads);

  // Writes `outputs` logits and maps; false when the image holds a number that is not finite. Calls from several threads
  // wait for each other.
  bool infer(const float *image, float *logit, float *cam);

  // Where the calling thread's nanoseconds go: the image's codes first, then each operation of the model. Null, as it is at
  // first, stops it. For benchmarks.
  void measure(uint64_t *nanoseconds) { nanoseconds_ = nanoseconds; }

  const Model &model() const { return model_; }
  uint32_t threads() const { return team_.size(); }
  uint32_t map_height() const { return buffers_.blocks.back().height; }
  uint32_t map_width() const { return buffers_.blocks.back().width; }

 private:
  void run_part(uint32_t thread);
  void image_rows(uint32_t thread);
  void stem(uint32_t thread);
  void stem_row(uint32_t row, uint8_t *output) const;
  void bottleneck(const Operation &operation, const Block &block, uint32_t thread) const;
  void growth(const Operation &operation, const Block &block, uint32_t channel, uint32_t thread) const;
  void transition(const Operation &operation, const Block &from, const Block &to, uint32_t thread) const;
  void head(const Operation &operation, const Block &block, uint32_t thread) const;
  void means() const;
  void end_step(uint32_t thread, uint32_t step);
  Part part(uint32_t count, uint32_t together, uint32_t thread) const;
  ConvolutionTask task_of(const Operation &operation) const;

  const Bytes bytes_;
  const Model model_;
  const Kernel &kernel_;
  const std::vector<int32_t> weight_sums_;  // of all operations, where the kernel needs them
  std::vector<size_t> weight_sums_at_;
  Buffers buffers_;
  Team team_;
  std::mutex mutex_;
  const float *input_ = nullptr;
  float *logit_ = nullptr, *cam_ = nullptr;
  std::chrono::steady_clock::time_point step_begin_;
  std::atomic<bool> finite_{true};
  uint64_t *nanoseconds_ = nullptr;
};

}  // namespace cxr_edge::engine
