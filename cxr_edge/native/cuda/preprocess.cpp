// The functions of cxr_edge_cuda.h on CUDA's runtime: checks every argument, then launches.
#include <cuda_runtime_api.h>

#include <new>

#include "arguments.h"
#include "cxr_edge_cuda.h"
#include "launch.h"

struct cxr_edge_cuda_preprocess {
  int device;
};

namespace cxr_edge {
namespace {

cxr_edge_status status_of(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return CXR_EDGE_OK;
    case cudaErrorInsufficientDriver:
    case cudaErrorCallRequiresNewerDriver:
    case cudaErrorStubLibrary:
    case cudaErrorSystemDriverMismatch: return CXR_EDGE_CUDA_NO_DRIVER;
    case cudaErrorNoDevice: return CXR_EDGE_CUDA_NO_DEVICE;
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorUnsupportedPtxVersion: return CXR_EDGE_CUDA_NO_KERNEL;
    default: return CXR_EDGE_CUDA_FAILED;
  }
}

// Tells the caller, and clears the thread's last error: what is reported here must not be found again by the next
// library that asks CUDA for it.
cxr_edge_status report(cudaError_t error, int32_t *cuda_error) {
  if (cuda_error != nullptr) *cuda_error = static_cast<int32_t>(error);
  if (error != cudaSuccess) (void)cudaGetLastError();
  return status_of(error);
}

// Memory of another kind than the device can reach would end in a fault that poisons the process's CUDA context; asking
// first costs a microsecond.
cxr_edge_status check_reachable(const void *pointer, int device, void **address, int32_t *cuda_error) {
  cudaPointerAttributes attributes{};
  const cudaError_t error = cudaPointerGetAttributes(&attributes, pointer);
  if (error == cudaErrorInvalidValue) {
    (void)cudaGetLastError();
    return CXR_EDGE_CUDA_BAD_POINTER;
  }
  if (error != cudaSuccess) return report(error, cuda_error);
  const bool elsewhere = attributes.type == cudaMemoryTypeDevice && attributes.device != device;
  if (attributes.type == cudaMemoryTypeUnregistered || attributes.devicePointer == nullptr || elsewhere) {
    return CXR_EDGE_CUDA_BAD_POINTER;
  }
  *address = attributes.devicePointer;
  return CXR_EDGE_OK;
}

cxr_edge_status check_device(int opened, int32_t *cuda_error) {
  int current = -1;
  const auto status = report(cudaGetDevice(&current), cuda_error);
  if (status != CXR_EDGE_OK) return status;
  return current == opened ? CXR_EDGE_OK : CXR_EDGE_CUDA_WRONG_DEVICE;
}

}  // namespace
}  // namespace cxr_edge

const char *cxr_edge_cuda_build(void) { return CXR_EDGE_CUDA_BUILD; }

cxr_edge_status cxr_edge_cuda_available(int32_t *cuda_error) {
  int count = 0;
  return cxr_edge::report(cudaGetDeviceCount(&count), cuda_error);
}

cxr_edge_status cxr_edge_cuda_preprocess_open(cxr_edge_cuda_preprocess **opened, int32_t *cuda_error) {
  using namespace cxr_edge;
  if (cuda_error != nullptr) *cuda_error = 0;
  if (opened == nullptr) return CXR_EDGE_NULL_POINTER;
  *opened = nullptr;
  if (const auto status = cxr_edge_cuda_available(cuda_error); status != CXR_EDGE_OK) return status;
  int device = -1;
  if (const auto status = report(cudaGetDevice(&device), cuda_error); status != CXR_EDGE_OK) return status;
  if (const auto status = report(load_kernels(), cuda_error); status != CXR_EDGE_OK) return status;
  *opened = new (std::nothrow) cxr_edge_cuda_preprocess{device};
  return *opened != nullptr ? CXR_EDGE_OK : CXR_EDGE_OUT_OF_MEMORY;
}

int32_t cxr_edge_cuda_preprocess_device(const cxr_edge_cuda_preprocess *opened) {
  return opened != nullptr ? opened->device : -1;
}

cxr_edge_status cxr_edge_cuda_preprocess_run(const cxr_edge_cuda_preprocess *opened, const cxr_edge_frame *frame,
                                             const cxr_edge_recipe *recipe, float *out, uint32_t out_height,
                                             uint32_t out_width, void *stream, int32_t *cuda_error) {
  using namespace cxr_edge;
  if (cuda_error != nullptr) *cuda_error = 0;
  if (opened == nullptr || frame == nullptr || recipe == nullptr || out == nullptr || frame->pixels == nullptr) {
    return CXR_EDGE_NULL_POINTER;
  }
  if (const auto status = check_arguments(*frame, *recipe, out_height, out_width); status != CXR_EDGE_OK) return status;
  if (reinterpret_cast<uintptr_t>(out) % alignof(float) != 0) return CXR_EDGE_CUDA_BAD_POINTER;
  if (const auto status = check_device(opened->device, cuda_error); status != CXR_EDGE_OK) return status;
  void *pixels = nullptr, *output = nullptr;
  auto status = check_reachable(frame->pixels, opened->device, &pixels, cuda_error);
  if (status == CXR_EDGE_OK) status = check_reachable(out, opened->device, &output, cuda_error);
  if (status != CXR_EDGE_OK) return status;
  cxr_edge_frame on_device = *frame;
  on_device.pixels = pixels;
  const TilePlan plan = plan_tiles(on_device, *recipe, static_cast<float *>(output), out_height, out_width);
  return report(launch(plan, static_cast<cudaStream_t>(stream)), cuda_error);
}

void cxr_edge_cuda_preprocess_close(cxr_edge_cuda_preprocess *opened) { delete opened; }

const char *cxr_edge_cuda_error_name(int32_t cuda_error) {
  return cudaGetErrorName(static_cast<cudaError_t>(cuda_error));
}
