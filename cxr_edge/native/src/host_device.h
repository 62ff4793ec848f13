// Functions that the processor and the GPU share are written once: with nvcc they are compiled for both, with any other
// compiler they are plain functions, so that tests execute on the host what the GPU runs.
#pragma once

#if defined(__CUDACC__)
#define CXR_EDGE_HOST_DEVICE __host__ __device__
#else
#define CXR_EDGE_HOST_DEVICE
#endif
