// The kernels: tile_program.h on a grid of [output rows, tiles]. Compiled with --fmad=false.
#include "launch.h"
#include "tile_program.h"

namespace cxr_edge {
namespace {

// The block's threads, of which this code is one. (Host and device: the shared program is compiled for both.)
struct DeviceThreads {
  template <class Step>
  CXR_EDGE_HOST_DEVICE void each(const Step &step) const {
#if defined(__CUDA_ARCH__)
    step(threadIdx.x);
    __syncthreads();
#else
    (void)step;
#endif
  }
};

template <class Program>
__global__ void __launch_bounds__(block_threads) preprocess_tile(const TileJob job) {
  __shared__ typename Program::Shared shared;
  Program::run(job, blockIdx.x, blockIdx.y, shared, DeviceThreads{});
}

// Asking for its attributes loads a kernel, which CUDA otherwise puts off until it is first launched.
struct Load {
  template <class Program>
  cudaError_t run(const TileJob &) const {
    cudaFuncAttributes attributes;
    return cudaFuncGetAttributes(&attributes, reinterpret_cast<const void *>(&preprocess_tile<Program>));
  }
};

struct Launch {
  cudaStream_t stream;

  template <class Program>
  cudaError_t run(const TileJob &job) const {
    TileJob argument = job;
    void *arguments[] = {&argument};
    return cudaLaunchKernel(reinterpret_cast<const void *>(&preprocess_tile<Program>),
                            dim3(job.tiles, job.out_height), dim3(block_threads), arguments, 0, stream);
  }
};

}  // namespace

cudaError_t load_kernels() {
  for (int32_t type = CXR_EDGE_UINT8; type <= CXR_EDGE_INT16; ++type) {
    for (const RuleKind kind : {RuleKind::window, RuleKind::window_and_padding}) {
      for (const uint32_t unit_bytes : {16u, 4u, 1u}) {
        const cudaError_t error = with_program(TilePlan{TileJob{}, type, kind, unit_bytes}, Load{});
        if (error != cudaSuccess) return error;
      }
    }
  }
  return cudaSuccess;
}

cudaError_t launch(const TilePlan &plan, cudaStream_t stream) { return with_program(plan, Launch{stream}); }

}  // namespace cxr_edge
