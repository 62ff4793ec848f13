// Any number of threads, also more than there are processors or rows, gives the stored bits; the interface allows no more
// than there are, so this goes to what lies behind it. Compiled a second time for the 256-bit VNNI kernel, which this
// processor may only have in AVX-512's encoding.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "cxr_edge_engine.h"
#include "engine/network.h"

using namespace cxr_edge::engine;

namespace {

std::vector<char> contents(const char *path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

#if defined(CXR_EDGE_VNNI_256_AS_AVX512)
const Kernel *kernel_under_test() {
  const bool runs = __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
  return runs ? &avx_vnni_kernel : nullptr;
}
#else
const Kernel *kernel_under_test() { return kernel_of(CXR_EDGE_KERNEL_BEST); }
#endif

bool same_bits(const std::vector<char> &model_bytes, const std::vector<char> &image, const std::vector<char> &expected,
               const Kernel &kernel, uint32_t threads) {
  Bytes bytes = zeroed_bytes(model_bytes.size());
  std::memcpy(bytes.get(), model_bytes.data(), model_bytes.size());
  Model model{};
  if (!read_model(bytes.get(), model_bytes.size(), model).empty()) return false;
  Network network(std::move(bytes), std::move(model), kernel, threads);
  std::vector<float> output(expected.size() / sizeof(float));
  for (int run = 0; run < 4; ++run) {
    network.infer(reinterpret_cast<const float *>(image.data()), output.data(), output.data() + 2);
    if (std::memcmp(output.data(), expected.data(), expected.size()) != 0) return false;
  }
  return true;
}

}  // namespace

int main() {
  const Kernel *kernel = kernel_under_test();
  if (kernel == nullptr) return std::printf("skipped: this processor has no AVX-512 VL and VNNI\n"), 77;
  const auto model = contents(FIXTURES "/version1.native");
  const auto image = contents(FIXTURES "/version1.image"), expected = contents(FIXTURES "/version1.expected");
  for (const uint32_t threads : {1, 2, 3, 9}) {
    if (same_bits(model, image, expected, *kernel, threads)) continue;
    std::fprintf(stderr, "%u threads give other bits\n", threads);
    return 1;
  }
  return 0;
}
