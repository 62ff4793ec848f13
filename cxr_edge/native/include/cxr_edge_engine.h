/*
 * cxr_edge_engine.h - the C interface of cxr-edge's INT8 engine: open a model.native file, infer, close. Results are
 * defined to the last bit (docs/native-engine.md): neither the kernel nor the number of threads changes them.
 *
 * Ownership: the library keeps no pointer that it is given. An engine is given back to cxr_edge_engine_close().
 * Threads:   every function may be called from several threads at once, but an engine must not be closed while it is
 *            used; there is no global state.
 * Errors:    a cxr_edge_status, CXR_EDGE_OK (0) on success. Nothing is printed, no exception leaves.
 */
#ifndef CXR_EDGE_ENGINE_H
#define CXR_EDGE_ENGINE_H

#include "cxr_edge.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which instructions the engine multiplies with. They differ in speed alone. */
typedef enum cxr_edge_kernel {
  CXR_EDGE_KERNEL_BEST = 0,        /* the fastest that this processor has, found out at run time */
  CXR_EDGE_KERNEL_SCALAR = 1,      /* portable C++; the oracle that the others are tested against */
  CXR_EDGE_KERNEL_DOT_PRODUCT = 2, /* ARMv8.2 dot product */
  CXR_EDGE_KERNEL_I8MM = 3,        /* ARMv8.6 I8MM */
  CXR_EDGE_KERNEL_AVX2 = 4,
  CXR_EDGE_KERNEL_AVX_VNNI = 5,   /* 256-bit VNNI without AVX-512 */
  CXR_EDGE_KERNEL_AVX512_VNNI = 6 /* needs AVX-512 F, BW, DQ, VL and VNNI */
} cxr_edge_kernel;

/* A network, loaded and ready. */
typedef struct cxr_edge_engine cxr_edge_engine;

/* What an engine is. */
typedef struct cxr_edge_engine_description {
  uint32_t height, width;         /* of the image, pixels */
  uint32_t outputs;               /* K, the number of logits */
  uint32_t map_height, map_width; /* of a class-activation map */
  uint32_t threads;               /* that share an inference, the calling one included */
  int32_t kernel;                 /* the cxr_edge_kernel in use, never CXR_EDGE_KERNEL_BEST */
} cxr_edge_engine_description;

/*
 * cxr_edge_engine_open_file() and cxr_edge_engine_open_memory() load a model.native file.
 *
 * path:           of the file, or
 * model, size:    its bytes, of any alignment. They are copied: neither file nor bytes are used after the call.
 * threads:        how many threads share an inference, 1 to the number of processors that this process may use. All but
 *                 the calling one are started here; they sleep while there is nothing to infer. Where the system gives
 *                 no more threads, fewer do the work.
 * kernel:         a cxr_edge_kernel.
 * engine:         receives the engine, or null on failure. Give it back to cxr_edge_engine_close().
 * detail, detail_capacity: receives one English sentence about what was found wrong, cut off at the capacity, always
 *                 terminated; may be null.
 *
 * Every offset and size of the file is checked before it is used. Whether the file is the one it should be is for the
 * caller to know: the hash in a bundle's manifest says it.
 */
CXR_EDGE_API cxr_edge_status cxr_edge_engine_open_file(const char *path, uint32_t threads, int32_t kernel,
                                                       cxr_edge_engine **engine, char *detail, size_t detail_capacity);
CXR_EDGE_API cxr_edge_status cxr_edge_engine_open_memory(const void *model, size_t size, uint32_t threads,
                                                         int32_t kernel, cxr_edge_engine **engine, char *detail,
                                                         size_t detail_capacity);

/* cxr_edge_engine_describe() fills in the description. */
CXR_EDGE_API cxr_edge_status cxr_edge_engine_describe(const cxr_edge_engine *engine,
                                                      cxr_edge_engine_description *description);

/*
 * cxr_edge_engine_infer() runs the network on one image. It allocates nothing; calls from several threads on one engine
 * wait for each other.
 *
 * image: height * width floats, row by row, as preprocessing writes them.
 * logit: receives `outputs` floats, before any sigmoid.
 * cam:   receives outputs * map_height * map_width floats; a logit is the mean of its map.
 *
 * Returns CXR_EDGE_OK, CXR_EDGE_NULL_POINTER or CXR_EDGE_BAD_IMAGE; outputs are untouched unless it is CXR_EDGE_OK.
 */
CXR_EDGE_API cxr_edge_status cxr_edge_engine_infer(cxr_edge_engine *engine, const float *image, float *logit,
                                                   float *cam);

/* cxr_edge_engine_close() gives back memory and threads. Null is allowed. No call may be using the engine. */
CXR_EDGE_API void cxr_edge_engine_close(cxr_edge_engine *engine);

/* cxr_edge_kernel_available() returns 1 when an engine can be opened with the kernel on this processor, otherwise 0. */
CXR_EDGE_API int cxr_edge_kernel_available(int32_t kernel);

/* cxr_edge_kernel_name() returns a kernel's name, such as "avx512-vnni", the name of the best one for
 * CXR_EDGE_KERNEL_BEST, or null for an unknown one. A static string. */
CXR_EDGE_API const char *cxr_edge_kernel_name(int32_t kernel);

#ifdef __cplusplus
}
#endif

#endif /* CXR_EDGE_ENGINE_H */
