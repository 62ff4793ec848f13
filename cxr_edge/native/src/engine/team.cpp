#include "team.h"

#include <system_error>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cxr_edge::engine {
namespace {

constexpr uint32_t spins = 4000;  // some tens of microseconds, the length of a step

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

}  // namespace

Team::Team(uint32_t size) {
  workers_.reserve(size);
  try {
    for (uint32_t index = 1; index < size; ++index) workers_.emplace_back(&Team::serve, this, index);
  } catch (const std::system_error &) {
    // No more threads to be had: those there are do the work, with the same result.
  }
}

Team::~Team() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread &worker : workers_) worker.join();
}

void Team::run(void (*work)(void *, uint32_t), void *context) {
  if (workers_.empty()) return work(context, 0);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    work_ = work;
    context_ = context;
    ++runs_;
  }
  wake_.notify_all();
  work(context, 0);
  meet();
}

void Team::serve(uint32_t index) {
  uint64_t served = 0;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stopping_ || runs_ != served; });
    if (stopping_) return;
    served = runs_;
    lock.unlock();
    work_(context_, index);
    meet();
    lock.lock();
  }
}

void Team::meet() {
  if (workers_.empty()) return;
  const uint32_t meeting = meetings_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size()) {
    arrived_.store(0, std::memory_order_relaxed);
    meetings_.store(meeting + 1, std::memory_order_release);
    return;
  }
  for (uint32_t k = 0; meetings_.load(std::memory_order_acquire) == meeting; ++k) {
    if (k < spins) {
      relax();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace cxr_edge::engine
