#include "row_bands.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <thread>

namespace cxr_edge {
namespace {

// One thread's part of the work, with scratch memory allocated before the thread exists: a thread cannot fail.
struct Band {
  uint32_t begin;
  uint32_t end;
  std::vector<uint32_t> column_sums;
};

std::vector<Band> bands_of(const Resampling &job, uint32_t count) {
  std::vector<Band> bands;
  bands.reserve(count);
  for (uint32_t k = 0; k < count; ++k) {
    const auto edge = [&](uint64_t index) { return static_cast<uint32_t>(index * job.out_height / count); };
    bands.push_back(Band{edge(k), edge(k + 1), std::vector<uint32_t>(job.width + columns_past_end)});
  }
  return bands;
}

}  // namespace

void resample_in_bands(const Resampling &job, uint32_t threads) {
  std::vector<Band> bands = bands_of(job, std::min(threads, job.out_height));
  const auto run = [&job](Band &band) { resample_rows(job, band.begin, band.end, band.column_sums.data()); };
  std::vector<std::thread> workers;
  workers.reserve(bands.size());
  size_t started = 1;
  try {
    for (; started < bands.size(); ++started) workers.emplace_back(run, std::ref(bands[started]));
  } catch (const std::exception &) {
    // The system gives no more threads, or no memory for one: this thread does what is left, with the same result.
  }
  run(bands[0]);
  for (; started < bands.size(); ++started) run(bands[started]);
  for (std::thread &worker : workers) worker.join();
}

}  // namespace cxr_edge
