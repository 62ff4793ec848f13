// engine_layers MODEL KERNEL THREADS RUNS: where an inference's time goes, as one JSON object on standard output.
//
// For each kind of operation: multiply-adds, the sum of its operations' median times and of their fastest, GMAC/s by the
// medians. For each operation: median, fastest, GMAC/s. For the whole: every repetition without clocks inside. And what the processor
// can do at most on as many threads, the better of a measurement before and one after. Run it on an idle machine.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "cxr_edge_engine.h"
#include "engine/network.h"
#include "peak.h"

using namespace cxr_edge::engine;

namespace {

constexpr const char *kind_names[] = {"image", "stem and pooling", "1x1", "3x3", "transition", "head"};

struct Step {
  uint32_t kind;  // 0 for the image's codes, else a Kind
  uint32_t height, in_channels, out_channels;
  double multiply_adds;
  std::vector<double> microseconds;
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

std::vector<Step> steps_of(const Model &model) {
  std::vector<Step> steps{{0, model.height, 1, 1, 0.0, {}}};
  uint32_t height = model.height / 4, width = model.width / 4;
  for (const Operation &operation : model.operations) {
    if (operation.kind == Kind::transition) height /= 2, width /= 2;
    const double window = operation.kind == Kind::stem ? 49.0 : operation.kind == Kind::growth ? 9.0 : 1.0;
    const double pixels = double{1} * height * width * (operation.kind == Kind::stem ? 4 : 1);
    steps.push_back({static_cast<uint32_t>(operation.kind), height, operation.in_channels, operation.out_channels,
                     pixels * window * operation.in_channels * operation.out_channels, {}});
  }
  return steps;
}

double fastest(const std::vector<double> &values) { return *std::min_element(values.begin(), values.end()); }

void print_kinds(const std::vector<Step> &steps) {
  std::printf("  \"kinds\": [");
  for (uint32_t kind = 0; kind < 6; ++kind) {
    double multiply_adds = 0.0, us = 0.0, fastest_us = 0.0;
    for (const Step &step : steps) {
      if (step.kind != kind) continue;
      multiply_adds += step.multiply_adds;
      us += median(step.microseconds);
      fastest_us += fastest(step.microseconds);
    }
    std::printf("%s\n    {\"kind\": \"%s\", \"mmac\": %.4f, \"us\": %.1f, \"fastest_us\": %.1f, \"gmac_per_s\": %.1f}",
                kind == 0 ? "" : ",", kind_names[kind], multiply_adds / 1e6, us, fastest_us, multiply_adds / 1e3 / us);
  }
  std::printf("\n  ],\n");
}

void print_steps(const std::vector<Step> &steps) {
  std::printf("  \"operations\": [");
  for (const Step &step : steps) {
    const double us = median(step.microseconds);
    std::printf("%s\n    {\"kind\": \"%s\", \"height\": %u, \"in\": %u, \"out\": %u, \"us\": %.2f, \"fastest_us\": %.2f, "
                "\"gmac_per_s\": %.1f}",
                &step == steps.data() ? "" : ",", kind_names[step.kind], step.height, step.in_channels,
                step.out_channels, us, fastest(step.microseconds), step.multiply_adds / 1e3 / us);
  }
  std::printf("\n  ],\n");
}

int kernel_named(const char *name) {
  for (int kernel = CXR_EDGE_KERNEL_BEST; cxr_edge_kernel_name(kernel) != nullptr; ++kernel) {
    if (std::strcmp(name, cxr_edge_kernel_name(kernel)) == 0) return kernel;
  }
  return -1;
}

Bytes file_bytes(const char *path, size_t &size) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> content{std::istreambuf_iterator<char>(file), {}};
  Bytes bytes = zeroed_bytes(size = content.size());
  std::memcpy(bytes.get(), content.data(), size);
  return bytes;
}

void run(Network &network, int runs) {
  std::vector<Step> steps = steps_of(network.model());
  std::vector<uint64_t> nanoseconds(steps.size());
  std::vector<float> image(size_t{network.model().height} * network.model().width);
  for (size_t k = 0; k < image.size(); ++k) image[k] = static_cast<float>(k % 97) / 48.0F - 1.0F;
  std::vector<float> logit(network.model().outputs);
  std::vector<float> cam(logit.size() * network.map_height() * network.map_width());
  std::vector<double> whole;
  for (int k = 0; k < runs; ++k) {
    // Every other run without the clock between steps.
    network.measure(k % 2 == 0 ? nullptr : nanoseconds.data());
    const auto begin = std::chrono::steady_clock::now();
    network.infer(image.data(), logit.data(), cam.data());
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - begin;
    if (k % 2 == 0) {
      whole.push_back(time.count());
    } else {
      for (size_t s = 0; s < steps.size(); ++s) steps[s].microseconds.push_back(static_cast<double>(nanoseconds[s]) / 1e3);
    }
  }
  print_kinds(steps);
  print_steps(steps);
  std::printf("  \"inference_us_median\": %.1f,\n  \"inference_us\": [", median(whole));
  for (size_t k = 0; k < whole.size(); ++k) std::printf("%s%.1f", k == 0 ? "" : ", ", whole[k]);
  std::printf("],\n");
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 5) return std::fprintf(stderr, "usage: engine_layers MODEL KERNEL THREADS RUNS\n"), 2;
  size_t size = 0;
  Bytes bytes = file_bytes(argv[1], size);
  Model model{};
  if (const std::string problem = read_model(bytes.get(), size, model); !problem.empty()) {
    return std::fprintf(stderr, "engine_layers: %s\n", problem.c_str()), 2;
  }
  const int level = kernel_named(argv[2]);
  const Kernel *kernel = kernel_of(level);
  const int runs = std::atoi(argv[4]);
  if (kernel == nullptr || runs < 4) return std::fprintf(stderr, "engine_layers: no such kernel, or < 4 runs\n"), 2;
  Network network(std::move(bytes), std::move(model), *kernel, static_cast<uint32_t>(std::max(1, std::atoi(argv[3]))));
  std::printf("{\n  \"kernel\": \"%s\",\n  \"threads\": %u,\n", cxr_edge_kernel_name(level), network.threads());
  const double peak = vnni_peak(network.threads());
  run(network, runs);
  std::printf("  \"vnni_peak_gmac_per_s\": %.1f\n}\n", std::max(peak, vnni_peak(network.threads())));
  return 0;
}
