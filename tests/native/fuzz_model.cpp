// libFuzzer target: any bytes are refused, or are a network that runs, within its memory. Build with clang:
//   cmake -S . -B build/fuzz -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DCXR_EDGE_BUILD_TESTS=ON -DCXR_EDGE_FUZZ=ON
//   build/fuzz/tests/native/fuzz_model CORPUS tests/fixtures/native
#include <cstdlib>
#include <vector>

#include "cxr_edge_engine.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  cxr_edge_engine *engine = nullptr;
  const cxr_edge_status status =
      cxr_edge_engine_open_memory(data, size, 1, CXR_EDGE_KERNEL_BEST, &engine, nullptr, 0);
  if ((engine != nullptr) != (status == CXR_EDGE_OK)) std::abort();
  if (engine == nullptr) return 0;
  cxr_edge_engine_description d;
  cxr_edge_engine_describe(engine, &d);
  if (uint64_t{d.height} * d.width <= 128 * 128) {  // larger ones are only slow
    const std::vector<float> image(size_t{d.height} * d.width, 0.25F);
    std::vector<float> logit(d.outputs), cam(size_t{d.outputs} * d.map_height * d.map_width);
    if (cxr_edge_engine_infer(engine, image.data(), logit.data(), cam.data()) != CXR_EDGE_OK) std::abort();
  }
  cxr_edge_engine_close(engine);
  return 0;
}
