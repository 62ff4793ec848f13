#include "peak.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int attempts = 5;

#if defined(__x86_64__)
constexpr uint64_t rounds = 400'000;  // some milliseconds
constexpr double products_of_round = 24.0 * 64.0;

bool has_vnni() { return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vnni") != 0; }

// 24 sums that don't wait for each other, more than latency times throughput of any processor with the instruction.
__attribute__((target("avx512f"))) void multiply() {
  uint64_t left = rounds;
#define SUM(number) "vpdpbusd %%zmm30, %%zmm31, %%zmm" #number "\n\t"
  __asm__ volatile(
      "1:\n\t" SUM(0) SUM(1) SUM(2) SUM(3) SUM(4) SUM(5) SUM(6) SUM(7) SUM(8) SUM(9) SUM(10) SUM(11) SUM(12) SUM(13)
          SUM(14) SUM(15) SUM(16) SUM(17) SUM(18) SUM(19) SUM(20) SUM(21) SUM(22) SUM(23) "dec %0\n\t"
                                                                                          "jnz 1b\n\t"
                                                                                          "vzeroupper"
      : "+r"(left)
      :
      : "zmm0", "zmm1", "zmm2", "zmm3", "zmm4", "zmm5", "zmm6", "zmm7", "zmm8", "zmm9", "zmm10", "zmm11", "zmm12",
        "zmm13", "zmm14", "zmm15", "zmm16", "zmm17", "zmm18", "zmm19", "zmm20", "zmm21", "zmm22", "zmm23");
#undef SUM
}
#else
constexpr uint64_t rounds = 0;
constexpr double products_of_round = 0.0;
bool has_vnni() { return false; }
void multiply() {}
#endif

// Seconds from the first thread's start to the last one's end, all begun together.
double seconds_of(uint32_t threads) {
  std::atomic<uint32_t> waiting{threads};
  std::vector<Clock::time_point> begins(threads), ends(threads);
  const auto work = [&](uint32_t index) {
    waiting.fetch_sub(1);
    while (waiting.load() != 0) std::this_thread::yield();
    begins[index] = Clock::now();
    multiply();
    ends[index] = Clock::now();
  };
  std::vector<std::thread> others;
  for (uint32_t index = 1; index < threads; ++index) others.emplace_back(work, index);
  work(0);
  for (std::thread &other : others) other.join();
  const auto span = *std::max_element(ends.begin(), ends.end()) - *std::min_element(begins.begin(), begins.end());
  return std::chrono::duration<double>(span).count();
}

}  // namespace

double vnni_peak(uint32_t threads) {
  if (!has_vnni()) return 0.0;
  double fastest = seconds_of(threads);
  for (int k = 1; k < attempts; ++k) fastest = std::min(fastest, seconds_of(threads));
  return static_cast<double>(rounds) * products_of_round * threads / fastest / 1e9;
}
