// What the C interface says about itself in words.
#include "cxr_edge.h"

const char *cxr_edge_status_message(cxr_edge_status status) {
  switch (status) {
    case CXR_EDGE_OK: return "no error";
    case CXR_EDGE_NULL_POINTER: return "a pointer argument is null";
    case CXR_EDGE_BAD_PIXEL_TYPE: return "the pixel type is none of uint8, uint16, int8, int16";
    case CXR_EDGE_BAD_SIZE: return "a side of the crop or output is not in 1..65535 pixels";
    case CXR_EDGE_BAD_STRIDE: return "the row stride is less than a row, or 16-bit rows are not 2-byte aligned";
    case CXR_EDGE_BAD_CROP: return "the crop is empty or leaves the frame";
    case CXR_EDGE_BAD_WINDOW: return "window_hi - window_lo is not in 1..65535";
    case CXR_EDGE_BAD_THREADS: return "the number of threads is 0, or more than there are processors";
    case CXR_EDGE_BAD_SIMD: return "this build or this processor does not have the SIMD level";
    case CXR_EDGE_OUT_OF_MEMORY: return "memory could not be allocated";
    case CXR_EDGE_CUDA_NOT_BUILT: return "this build of cxr-edge has no CUDA code";
    case CXR_EDGE_CUDA_NO_DRIVER: return "no NVIDIA driver is loaded, or it is too old for this build's CUDA version";
    case CXR_EDGE_CUDA_NO_DEVICE: return "the NVIDIA driver shows no GPU to this process";
    case CXR_EDGE_CUDA_NO_KERNEL: return "this build has no code for the GPU's architecture";
    case CXR_EDGE_CUDA_WRONG_DEVICE: return "the thread's current CUDA device is not the one that was opened";
    case CXR_EDGE_CUDA_BAD_POINTER: return "pixels or output are not aligned memory that the opened GPU can reach";
    case CXR_EDGE_CUDA_FAILED: return "the CUDA runtime reported an error";
    case CXR_EDGE_BAD_KERNEL: return "this build or this processor does not have the kernel";
    case CXR_EDGE_CANNOT_READ: return "the model file cannot be opened or read";
    case CXR_EDGE_BAD_MODEL: return "the model is damaged, of another version, or its sizes do not add up";
    case CXR_EDGE_BAD_IMAGE: return "the image holds NaN or infinity";
  }
  return "unknown status";
}

const char *cxr_edge_simd_name(int32_t simd) {
  switch (simd) {
    case CXR_EDGE_SIMD_BEST: return cxr_edge_simd_name(cxr_edge_simd_best());
    case CXR_EDGE_SIMD_SCALAR: return "scalar";
    case CXR_EDGE_SIMD_NEON: return "neon";
    case CXR_EDGE_SIMD_AVX2: return "avx2";
    case CXR_EDGE_SIMD_AVX512: return "avx512";
    default: return nullptr;
  }
}

const char *cxr_edge_version(void) { return CXR_EDGE_VERSION; }
