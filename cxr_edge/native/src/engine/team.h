// Threads that share one inference: woken once for it, asleep between inferences.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace cxr_edge::engine {

// A team of `size` threads, the calling one included. Where the system gives no more threads, the team is smaller.
class Team {
 public:
  explicit Team(uint32_t size);
  ~Team();
  Team(const Team &) = delete;
  Team &operator=(const Team &) = delete;

  uint32_t size() const { return static_cast<uint32_t>(workers_.size()) + 1; }

  // Runs work(context, k) for every k below size(), 0 on the calling thread, and returns when all are done. One run at a
  // time.
  void run(void (*work)(void *context, uint32_t index), void *context);

  // Waits until every thread of the run has come here. Threads spin for a moment, because the next step begins within
  // microseconds, then let others run.
  void meet();

 private:
  void serve(uint32_t index);

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  uint64_t runs_ = 0;
  bool stopping_ = false;
  void (*work_)(void *, uint32_t) = nullptr;
  void *context_ = nullptr;

  alignas(64) std::atomic<uint32_t> arrived_{0};
  alignas(64) std::atomic<uint32_t> meetings_{0};
};

}  // namespace cxr_edge::engine
