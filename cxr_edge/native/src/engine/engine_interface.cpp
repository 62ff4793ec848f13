// The C interface of the engine: checks every argument, keeps exceptions in, says what is wrong.
#include <algorithm>
#include <cstdio>
#include <new>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

#include "cxr_edge_engine.h"
#include "network.h"

struct cxr_edge_engine {
  cxr_edge::engine::Network network;
  int32_t kernel;
};

namespace cxr_edge::engine {
namespace {

constexpr size_t max_file_bytes = size_t{1} << 30;

// Where a sentence about a failure goes; cut off at the capacity, always terminated.
struct Detail {
  char *text;
  size_t capacity;

  cxr_edge_status say(cxr_edge_status status, const std::string &sentence) const {
    if (text != nullptr && capacity > 0) {
      const size_t length = std::min(sentence.size(), capacity - 1);
      std::memcpy(text, sentence.data(), length);
      text[length] = '\0';
    }
    return status;
  }
  cxr_edge_status say(cxr_edge_status status) const { return say(status, cxr_edge_status_message(status)); }
};

uint32_t processors() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<uint32_t>(CPU_COUNT(&set));
#endif
  return std::max(1U, std::thread::hardware_concurrency());
}

struct Closer {
  void operator()(std::FILE *file) const { std::fclose(file); }
};

// The file's bytes at a cache line. A copy, not a mapping: a file that is cut short later cannot stop the process.
cxr_edge_status read_file(const char *path, Bytes &bytes, size_t &size, const Detail &detail) {
  const std::unique_ptr<std::FILE, Closer> file(std::fopen(path, "rb"));
  if (file == nullptr || std::fseek(file.get(), 0, SEEK_END) != 0) {
    return detail.say(CXR_EDGE_CANNOT_READ, "the model file cannot be opened");
  }
  const long end = std::ftell(file.get());
  if (end < 0 || static_cast<size_t>(end) > max_file_bytes || std::fseek(file.get(), 0, SEEK_SET) != 0) {
    return detail.say(CXR_EDGE_CANNOT_READ, "the model file is no regular file of at most 1 GiB");
  }
  size = static_cast<size_t>(end);
  bytes = zeroed_bytes(size);
  if (std::fread(bytes.get(), 1, size, file.get()) != size) {
    return detail.say(CXR_EDGE_CANNOT_READ, "the model file could not be read to its end");
  }
  return CXR_EDGE_OK;
}

cxr_edge_status check_options(uint32_t threads, int32_t kernel, const Detail &detail) {
  const uint32_t most = processors();
  if (threads == 0 || threads > most) {
    return detail.say(CXR_EDGE_BAD_THREADS, "threads must be 1 to " + std::to_string(most) +
                                                ", the processors that this process may use; got " +
                                                std::to_string(threads));
  }
  if (kernel_of(kernel) == nullptr) return detail.say(CXR_EDGE_BAD_KERNEL);
  return CXR_EDGE_OK;
}

int32_t resolved(int32_t kernel) {
  if (kernel != CXR_EDGE_KERNEL_BEST) return kernel;
  for (int32_t level = CXR_EDGE_KERNEL_SCALAR; level <= CXR_EDGE_KERNEL_AVX512_VNNI; ++level) {
    if (kernel_of(level) == kernel_of(CXR_EDGE_KERNEL_BEST)) return level;
  }
  return kernel;
}

cxr_edge_status make(Bytes bytes, size_t size, uint32_t threads, int32_t kernel, cxr_edge_engine **engine,
                     const Detail &detail) {
  Model model{};
  const std::string problem = read_model(bytes.get(), size, model);
  if (!problem.empty()) return detail.say(CXR_EDGE_BAD_MODEL, problem);
  *engine = new cxr_edge_engine{{std::move(bytes), std::move(model), *kernel_of(kernel), threads}, resolved(kernel)};
  return detail.say(CXR_EDGE_OK);
}

}  // namespace
}  // namespace cxr_edge::engine

cxr_edge_status cxr_edge_engine_open_memory(const void *model, size_t size, uint32_t threads, int32_t kernel,
                                            cxr_edge_engine **engine, char *detail, size_t detail_capacity) {
  using namespace cxr_edge::engine;
  const Detail say{detail, detail_capacity};
  if (model == nullptr || engine == nullptr) return say.say(CXR_EDGE_NULL_POINTER);
  *engine = nullptr;
  if (const auto status = check_options(threads, kernel, say); status != CXR_EDGE_OK) return status;
  try {
    Bytes bytes = zeroed_bytes(size);
    std::memcpy(bytes.get(), model, size);
    return make(std::move(bytes), size, threads, kernel, engine, say);
  } catch (const std::bad_alloc &) {
    return say.say(CXR_EDGE_OUT_OF_MEMORY);
  }
}

cxr_edge_status cxr_edge_engine_open_file(const char *path, uint32_t threads, int32_t kernel, cxr_edge_engine **engine,
                                          char *detail, size_t detail_capacity) {
  using namespace cxr_edge::engine;
  const Detail say{detail, detail_capacity};
  if (path == nullptr || engine == nullptr) return say.say(CXR_EDGE_NULL_POINTER);
  *engine = nullptr;
  if (const auto status = check_options(threads, kernel, say); status != CXR_EDGE_OK) return status;
  try {
    Bytes bytes;
    size_t size = 0;
    if (const auto status = read_file(path, bytes, size, say); status != CXR_EDGE_OK) return status;
    return make(std::move(bytes), size, threads, kernel, engine, say);
  } catch (const std::bad_alloc &) {
    return say.say(CXR_EDGE_OUT_OF_MEMORY);
  }
}

cxr_edge_status cxr_edge_engine_infer(cxr_edge_engine *engine, const float *image, float *logit, float *cam) {
  if (engine == nullptr || image == nullptr || logit == nullptr || cam == nullptr) return CXR_EDGE_NULL_POINTER;
  return engine->network.infer(image, logit, cam) ? CXR_EDGE_OK : CXR_EDGE_BAD_IMAGE;
}

cxr_edge_status cxr_edge_engine_describe(const cxr_edge_engine *engine, cxr_edge_engine_description *description) {
  if (engine == nullptr || description == nullptr) return CXR_EDGE_NULL_POINTER;
  const auto &network = engine->network;
  *description = cxr_edge_engine_description{network.model().height, network.model().width, network.model().outputs,
                                             network.map_height(),   network.map_width(),   network.threads(),
                                             engine->kernel};
  return CXR_EDGE_OK;
}

void cxr_edge_engine_close(cxr_edge_engine *engine) { delete engine; }
