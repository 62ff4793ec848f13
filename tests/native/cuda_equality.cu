// On a GPU: the kernels give the CPU implementation's bits, and how fast they read. Exit code 77 where no GPU is.
//
//   cuda_equality           random cases of every type, alignment and shape, from device and from mapped host memory
//   cuda_equality --few     a twentieth of them, for tools that slow the GPU down (compute-sanitizer)
//   cuda_equality --time    then the time of a detector's frame beside that of a plain copy, as Markdown table rows
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "cxr_edge_cuda.h"

namespace {

constexpr int skipped = 77;
constexpr size_t capacity = 64u << 20;

std::mt19937_64 random_bits(20261123);

int64_t draw(int64_t first, int64_t last) { return std::uniform_int_distribution<int64_t>(first, last)(random_bits); }

uint32_t draw_side(double most) {
  return static_cast<uint32_t>(std::exp2(std::uniform_real_distribution<>(0, std::log2(most + 1))(random_bits)));
}

size_t bytes_of(int32_t pixel_type) { return pixel_type == CXR_EDGE_UINT8 || pixel_type == CXR_EDGE_INT8 ? 1 : 2; }

void must(cudaError_t error, const char *what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

// The same bytes in pinned memory that both sides see, and in the GPU's own.
struct Buffers {
  unsigned char *host = nullptr, *device = nullptr;
  float *out = nullptr;
  cudaStream_t stream = nullptr;

  Buffers() {
    must(cudaHostAlloc(reinterpret_cast<void **>(&host), capacity, cudaHostAllocMapped), "pinned memory");
    must(cudaMalloc(reinterpret_cast<void **>(&device), capacity), "device memory");
    must(cudaMalloc(reinterpret_cast<void **>(&out), capacity), "device memory");
    must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
  }
};

struct Case {
  cxr_edge_frame frame;  // its pixels lie in Buffers::host
  cxr_edge_recipe recipe;
  uint32_t out_height, out_width;
};

Case random_case(const Buffers &buffers, uint32_t height, uint32_t width, uint32_t out_height, uint32_t out_width) {
  Case one{};
  one.out_height = out_height;
  one.out_width = out_width;
  const auto type = static_cast<int32_t>(draw(CXR_EDGE_UINT8, CXR_EDGE_INT16));
  const size_t size = bytes_of(type);
  size_t stride = width * size + static_cast<size_t>(draw(0, 3)) * size;
  if (draw(0, 1) == 1) stride = (stride + 15) / 16 * 16;
  unsigned char *pixels = buffers.host + (draw(0, 1) == 1 ? 0 : draw(0, 15)) * size;
  for (size_t k = 0; k < stride * height; ++k) pixels[k] = static_cast<unsigned char>(random_bits() >> 11);
  one.frame = cxr_edge_frame{pixels, type, height, width, stride};
  cxr_edge_recipe &recipe = one.recipe;
  recipe.crop_top = static_cast<uint32_t>(draw(0, height - 1)) / 2;
  recipe.crop_left = static_cast<uint32_t>(draw(0, width - 1)) / 2;
  recipe.crop_height = height - recipe.crop_top;
  recipe.crop_width = width - recipe.crop_left;
  recipe.window_lo = static_cast<int32_t>(draw(-70000, 70000));
  recipe.window_hi = recipe.window_lo + static_cast<int32_t>(draw(1, 65535));
  recipe.has_padding = static_cast<int32_t>(draw(0, 1));
  recipe.padding_first = static_cast<int32_t>(draw(-40000, 70000));
  recipe.padding_last = recipe.padding_first + static_cast<int32_t>(draw(0, 40000));
  recipe.inverted = static_cast<int32_t>(draw(0, 1));
  recipe.scale = 1.0 / static_cast<double>(draw(1, 2000000000));
  recipe.offset = static_cast<double>(draw(-1000, 1000)) / 333.0;
  return one;
}

std::vector<float> on_gpu(const cxr_edge_cuda_preprocess *gpu, const Buffers &buffers, const Case &one,
                          const unsigned char *pixels) {
  std::vector<float> result(size_t{one.out_height} * one.out_width);
  const size_t bytes = result.size() * sizeof(float);
  must(cudaMemsetAsync(buffers.out, 0xFF, bytes, buffers.stream), "clearing the output");
  cxr_edge_frame frame = one.frame;
  frame.pixels = pixels;
  int32_t cuda_error = 0;
  const cxr_edge_status status = cxr_edge_cuda_preprocess_run(gpu, &frame, &one.recipe, buffers.out, one.out_height,
                                                              one.out_width, buffers.stream, &cuda_error);
  CHECK(status == CXR_EDGE_OK, "%s (%s)", cxr_edge_status_message(status), cxr_edge_cuda_error_name(cuda_error));
  must(cudaMemcpyAsync(result.data(), buffers.out, bytes, cudaMemcpyDeviceToHost, buffers.stream), "copying back");
  must(cudaStreamSynchronize(buffers.stream), "running the kernel");
  return result;
}

void check_case(const cxr_edge_cuda_preprocess *gpu, const Buffers &buffers, const Case &one) {
  std::vector<float> want(size_t{one.out_height} * one.out_width);
  cxr_edge_preprocess(&one.frame, &one.recipe, want.data(), one.out_height, one.out_width, CXR_EDGE_SIMD_BEST, 1);
  const auto *pixels = static_cast<const unsigned char *>(one.frame.pixels);
  const size_t offset = static_cast<size_t>(pixels - buffers.host);
  must(cudaMemcpyAsync(buffers.device, buffers.host, offset + one.frame.row_stride * one.frame.height,
                       cudaMemcpyHostToDevice, buffers.stream),
       "copying the frame");
  for (const unsigned char *place : {static_cast<const unsigned char *>(buffers.device + offset), pixels}) {
    const std::vector<float> got = on_gpu(gpu, buffers, one, place);
    CHECK(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)) == 0,
          "%s memory: type %d, stride %zu, crop %ux%u at %u,%u to %ux%u", place == pixels ? "mapped host" : "device",
          one.frame.pixel_type, one.frame.row_stride, one.recipe.crop_height, one.recipe.crop_width,
          one.recipe.crop_top, one.recipe.crop_left, one.out_height, one.out_width);
  }
}

int check_all(const cxr_edge_cuda_preprocess *gpu, const Buffers &buffers, int share) {
  int cases = 0;
  const auto check = [&](uint32_t height, uint32_t width, uint32_t out_height, uint32_t out_width) {
    if (failures < 10) check_case(gpu, buffers, random_case(buffers, height, width, out_height, out_width)), ++cases;
  };
  for (int k = 0; k < 4000 / share; ++k) check(draw_side(500), draw_side(800), draw_side(100), draw_side(300));
  for (int k = 0; k < 300 / share; ++k) check(draw_side(5000), draw_side(200), draw_side(224), draw_side(224));
  for (int k = 0; k < 300 / share; ++k) check(draw_side(200), draw_side(5000), draw_side(224), draw_side(224));
  for (int k = 0; k < 8 / share; ++k) check(3000, static_cast<uint32_t>(3000 + k), 224, 224);
  check(CXR_EDGE_MAX_SIDE, 3, 2, 2);
  check(3, CXR_EDGE_MAX_SIDE, 2, 2);
  return cases;
}

// Median time of one call, ms, by events around 20 of them; 15 repetitions after as many to warm up.
template <class Call>
double median_ms(const Buffers &buffers, const Call &call) {
  constexpr int repetitions = 15, calls = 20;
  cudaEvent_t start, stop;
  must(cudaEventCreate(&start), "event");
  must(cudaEventCreate(&stop), "event");
  std::vector<float> times;
  for (int k = 0; k < 2 * repetitions; ++k) {
    must(cudaEventRecord(start, buffers.stream), "event");
    for (int n = 0; n < calls; ++n) call();
    must(cudaEventRecord(stop, buffers.stream), "event");
    must(cudaEventSynchronize(stop), "event");
    float ms = 0;
    must(cudaEventElapsedTime(&ms, start, stop), "event");
    if (k >= repetitions) times.push_back(ms / calls);
  }
  std::nth_element(times.begin(), times.begin() + repetitions / 2, times.end());
  return times[repetitions / 2];
}

void row(const char *what, double ms, double bytes) {
  std::printf("| %s | %.4f | %.1f |\n", what, ms, bytes / ms / 1e6);
}

// A 3000 x 3000 frame of 12 bits to 224 x 224. Frames follow each other through 64 MB, so that a cache smaller than
// that does not hold the next one; where the GPU's cache is larger, the table's figures are those of the cache.
void time_all(const cxr_edge_cuda_preprocess *gpu, const Buffers &buffers) {
  constexpr uint32_t side = 3000;
  constexpr size_t bytes = size_t{side} * side * sizeof(uint16_t);
  cxr_edge_recipe recipe{};
  recipe.crop_height = recipe.crop_width = side;
  recipe.window_hi = 4095;
  recipe.scale = 1.0 / (double(side) * side * 4095.0 * 0.5);
  recipe.offset = -1.0;
  int turn = 0;
  const auto preprocess = [&](const unsigned char *pixels) {
    const size_t place = static_cast<size_t>(turn++ % 3) * bytes;
    const cxr_edge_frame frame{pixels + place, CXR_EDGE_UINT16, side, side, side * sizeof(uint16_t)};
    CHECK(cxr_edge_cuda_preprocess_run(gpu, &frame, &recipe, buffers.out, 224, 224, buffers.stream, nullptr) ==
              CXR_EDGE_OK,
          "a timed call");
  };
  std::printf("| 3000x3000 16-bit to 224x224 | ms | GB/s read |\n| --- | --- | --- |\n");
  row("kernel, frame in device memory", median_ms(buffers, [&] { preprocess(buffers.device); }), bytes);
  row("kernel, frame in mapped host memory", median_ms(buffers, [&] { preprocess(buffers.host); }), bytes);
  row("copy to the device alone", median_ms(buffers, [&] {
        must(cudaMemcpyAsync(buffers.device, buffers.host, bytes, cudaMemcpyHostToDevice, buffers.stream), "copy");
      }), bytes);
  row("copy within device memory (reads and writes)", median_ms(buffers, [&] {
        must(cudaMemcpyAsync(buffers.out, buffers.device, bytes, cudaMemcpyDeviceToDevice, buffers.stream), "copy");
      }), 2.0 * bytes);
}

}  // namespace

int main(int count, char **arguments) {
  int32_t cuda_error = 0;
  cxr_edge_cuda_preprocess *gpu = nullptr;
  const cxr_edge_status status = cxr_edge_cuda_preprocess_open(&gpu, &cuda_error);
  if (status != CXR_EDGE_OK) {
    std::printf("skipped: %s (%s)\n", cxr_edge_status_message(status), cxr_edge_cuda_error_name(cuda_error));
    return status == CXR_EDGE_CUDA_NO_DRIVER || status == CXR_EDGE_CUDA_NO_DEVICE ? skipped : 1;
  }
  cudaDeviceProp properties{};
  must(cudaGetDeviceProperties(&properties, cxr_edge_cuda_preprocess_device(gpu)), "asking for the GPU's name");
  std::printf("%s, sm_%d%d; built with %s\n", properties.name, properties.major, properties.minor,
              cxr_edge_cuda_build());
  const Buffers buffers;
  const std::string option = count > 1 ? arguments[1] : "";
  const int cases = check_all(gpu, buffers, option == "--few" ? 20 : 1);
  std::printf("%d cases, each from device and from mapped host memory: %s\n", cases,
              failures == 0 ? "all bits equal the CPU's" : "NOT EQUAL");
  if (option == "--time") time_all(gpu, buffers);
  cxr_edge_cuda_preprocess_close(gpu);
  return failures != 0;
}
