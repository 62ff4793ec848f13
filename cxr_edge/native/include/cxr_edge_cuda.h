/*
 * cxr_edge_cuda.h - the C interface of preprocessing on an NVIDIA GPU: the result of cxr_edge_preprocess(), to the last
 * bit, from pixels that the GPU can read into the network's input tensor, in one kernel and without memory of its own.
 *
 * Every build has these functions. One without CUDA answers CXR_EDGE_CUDA_NOT_BUILT; one with CUDA carries the runtime
 * inside, loads on machines without an NVIDIA driver, and answers CXR_EDGE_CUDA_NO_DRIVER there.
 *
 * Device:    the calling thread's current one (cudaSetDevice, or a context that the driver interface made current);
 *            no function changes it. Where no context exists yet, opening makes the device's primary one.
 * Ownership: the library keeps no pointer that it is given. What open returns is freed by close.
 * Threads:   every function may be called from several threads at once; an opened handle never changes.
 * Errors:    a cxr_edge_status, CXR_EDGE_OK (0) on success. `cuda_error` may be null; otherwise it receives the number
 *            of the CUDA runtime's own error, 0 where there was none. Nothing is printed, no exception leaves.
 */
#ifndef CXR_EDGE_CUDA_H
#define CXR_EDGE_CUDA_H

#include "cxr_edge.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Preprocessing on one GPU. */
typedef struct cxr_edge_cuda_preprocess cxr_edge_cuda_preprocess;

/* cxr_edge_cuda_build() returns what this library was built with: "CUDA 13.0, sm_75 sm_80 ...", or "" where it was
 * built without CUDA. A static string; never null. */
CXR_EDGE_API const char *cxr_edge_cuda_build(void);

/* cxr_edge_cuda_available() returns CXR_EDGE_OK where a driver and a GPU are there. It makes no context, so whether
 * this build has code for that GPU shows only when opening. */
CXR_EDGE_API cxr_edge_status cxr_edge_cuda_available(int32_t *cuda_error);

/*
 * cxr_edge_cuda_preprocess_open() gets the calling thread's current device ready: every kernel is loaded now, so that
 * no later call pays for it.
 *
 * opened: receives the handle; null unless CXR_EDGE_OK is returned. The caller closes it.
 */
CXR_EDGE_API cxr_edge_status cxr_edge_cuda_preprocess_open(cxr_edge_cuda_preprocess **opened, int32_t *cuda_error);

/* cxr_edge_cuda_preprocess_device() returns the ordinal of the device that was current when opening; -1 for null. */
CXR_EDGE_API int32_t cxr_edge_cuda_preprocess_device(const cxr_edge_cuda_preprocess *opened);

/*
 * cxr_edge_cuda_preprocess_run() queues the work for one frame on a stream, and returns. It allocates nothing.
 *
 * frame, recipe: as for cxr_edge_preprocess(), but `pixels` is device memory, managed memory, or pinned host memory
 *                that is mapped (its host or its device address). All row_stride * height bytes must be readable: the
 *                kernel reads whole units of 16 bytes where address and stride are multiples of 16, which is fastest.
 *                They must not change before the work on the stream is done.
 * out:           out_height * out_width floats of such memory, row by row without gaps; must not overlap the frame.
 * stream:        a cudaStream_t (or CUstream) of the device; null is its default stream.
 *
 * Returns CXR_EDGE_OK when the work is queued, otherwise the first thing found wrong, and nothing is queued. An error
 * while it runs shows when the stream is synchronised, as CUDA has it.
 */
CXR_EDGE_API cxr_edge_status cxr_edge_cuda_preprocess_run(const cxr_edge_cuda_preprocess *opened,
                                                          const cxr_edge_frame *frame, const cxr_edge_recipe *recipe,
                                                          float *out, uint32_t out_height, uint32_t out_width,
                                                          void *stream, int32_t *cuda_error);

/* cxr_edge_cuda_preprocess_close() frees the handle; null is allowed. Work that is queued goes on. */
CXR_EDGE_API void cxr_edge_cuda_preprocess_close(cxr_edge_cuda_preprocess *opened);

/* cxr_edge_cuda_error_name() returns CUDA's name of an error number, such as "cudaErrorIllegalAddress"; "" where this
 * library was built without CUDA. A static string; never null. */
CXR_EDGE_API const char *cxr_edge_cuda_error_name(int32_t cuda_error);

#ifdef __cplusplus
}
#endif

#endif /* CXR_EDGE_CUDA_H */
