/*
 * cxr_edge.h - the C interface of cxr-edge's native preprocessing and of its INT8 engine. This header is the contract.
 *
 * Preprocessing: one call turns the stored pixels of a radiograph into the network's input: crop, window, exact area resampling, one
 * linear map. Every result is defined to the last bit (docs/architecture.md, "Preprocessing"): neither the SIMD level
 * nor the number of threads changes it.
 *
 * Engine: open a model.native file, infer, close. Its results are defined to the last bit, too (docs/native-engine.md).
 *
 * Ownership: the library keeps no pointer that it is given. What must be given back: an engine, to
 *            cxr_edge_engine_close().
 * Threads:   every function may be called from several threads at once, but an engine must not be closed while it is
 *            used; there is no global state.
 * Errors:    a function that can fail returns a cxr_edge_status, CXR_EDGE_OK (0) on success. Nothing is printed and no
 *            exception leaves the library.
 */
#ifndef CXR_EDGE_H
#define CXR_EDGE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define CXR_EDGE_API __attribute__((visibility("default")))
#else
#define CXR_EDGE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Largest height or width, in pixels, of a crop or of an output. Column sums of 16-bit spans fit 32 bits up to 65,537
 * rows; 65,535 is also the largest side that DICOM can name. A frame may be larger than its crop. */
#define CXR_EDGE_MAX_SIDE 65535u

/* What went wrong. Numbers are stable: new ones are added at the end. */
typedef enum cxr_edge_status {
  CXR_EDGE_OK = 0,
  CXR_EDGE_NULL_POINTER = 1,   /* a pointer argument is null */
  CXR_EDGE_BAD_PIXEL_TYPE = 2, /* pixel_type is no cxr_edge_pixel_type */
  CXR_EDGE_BAD_SIZE = 3,       /* a side of the frame or output is 0, or one of crop or output is above the limit */
  CXR_EDGE_BAD_STRIDE = 4,     /* rows overlap, or 16-bit rows are not 2-byte aligned */
  CXR_EDGE_BAD_CROP = 5,       /* the crop is empty or leaves the frame */
  CXR_EDGE_BAD_WINDOW = 6,     /* window_hi - window_lo is not in 1..65535 */
  CXR_EDGE_BAD_THREADS = 7,    /* threads is 0, or for an engine more than the process may use */
  CXR_EDGE_BAD_SIMD = 8,       /* the SIMD level is unknown, or this build or processor does not have it */
  CXR_EDGE_OUT_OF_MEMORY = 9,  /* memory could not be had */
  CXR_EDGE_BAD_KERNEL = 10,    /* the kernel is unknown, or this build or processor does not have it */
  CXR_EDGE_CANNOT_READ = 11,   /* the model file cannot be opened or read */
  CXR_EDGE_BAD_MODEL = 12,     /* the model is damaged, of another version, or its sizes don't add up */
  CXR_EDGE_BAD_IMAGE = 13      /* the image holds NaN or infinity */
} cxr_edge_status;

/* How one stored pixel lies in memory; 16-bit types in the machine's byte order, aligned to 2 bytes. */
typedef enum cxr_edge_pixel_type {
  CXR_EDGE_UINT8 = 0,
  CXR_EDGE_UINT16 = 1,
  CXR_EDGE_INT8 = 2,
  CXR_EDGE_INT16 = 3
} cxr_edge_pixel_type;

/* Which instructions sum the pixels. They differ in speed alone. */
typedef enum cxr_edge_simd {
  CXR_EDGE_SIMD_BEST = 0,   /* the fastest that this processor has, found out at run time */
  CXR_EDGE_SIMD_SCALAR = 1, /* portable C++; the oracle that the others are tested against */
  CXR_EDGE_SIMD_NEON = 2,
  CXR_EDGE_SIMD_AVX2 = 3,
  CXR_EDGE_SIMD_AVX512 = 4 /* needs AVX-512 F and BW */
} cxr_edge_simd;

/* A frame of stored pixels. The caller owns the memory; it is only read, and only during the call. */
typedef struct cxr_edge_frame {
  const void *pixels; /* first pixel of the first row */
  int32_t pixel_type; /* a cxr_edge_pixel_type */
  uint32_t height;    /* rows */
  uint32_t width;     /* columns */
  size_t row_stride;  /* bytes from the start of a row to the start of the next, at least width * bytes per pixel */
} cxr_edge_frame;

/* What to do with a frame. A zeroed struct with crop, window and scale filled in is valid: no padding, not inverted. */
typedef struct cxr_edge_recipe {
  uint32_t crop_top, crop_left;     /* first row and column of the crop, pixels */
  uint32_t crop_height, crop_width; /* its size, pixels; it must lie inside the frame */
  int32_t window_lo, window_hi;     /* display window, stored units, both ends inclusive; may exceed the type's range */
  int32_t has_padding;              /* non-zero: pixels in [padding_first, padding_last] display black */
  int32_t padding_first, padding_last; /* stored units, inclusive; an empty range matches no pixel */
  int32_t inverted;                    /* non-zero: low stored values display white (MONOCHROME1) */
  double scale, offset;                /* out = float32(S * scale + offset), S the area sum of clamp(v) - window_lo */
} cxr_edge_recipe;

/*
 * cxr_edge_preprocess() writes the network's input for one frame.
 *
 * frame, recipe: as described above; not modified, not kept.
 * out:           out_height * out_width floats, row by row without gaps, owned by the caller. It must not overlap the
 *                frame. Untouched unless CXR_EDGE_OK is returned.
 * out_height, out_width: pixels, 1..CXR_EDGE_MAX_SIDE each.
 * simd:          a cxr_edge_simd.
 * threads:       how many threads share the output rows, the calling one included; at least 1. More than there are
 *                output rows is as many as there are rows. Where the system gives no more threads, fewer do the work.
 *
 * Returns CXR_EDGE_OK, or the first thing found wrong. Test for errors with `status != CXR_EDGE_OK`.
 */
CXR_EDGE_API cxr_edge_status cxr_edge_preprocess(const cxr_edge_frame *frame, const cxr_edge_recipe *recipe, float *out,
                                                 uint32_t out_height, uint32_t out_width, int32_t simd,
                                                 uint32_t threads);

/* cxr_edge_status_message() returns one English sentence about a status, a static string; never null. */
CXR_EDGE_API const char *cxr_edge_status_message(cxr_edge_status status);

/* cxr_edge_simd_available() returns 1 when cxr_edge_preprocess() accepts the level on this processor, otherwise 0. */
CXR_EDGE_API int cxr_edge_simd_available(int32_t simd);

/* cxr_edge_simd_best() returns the level that CXR_EDGE_SIMD_BEST stands for on this processor. */
CXR_EDGE_API cxr_edge_simd cxr_edge_simd_best(void);

/* cxr_edge_simd_name() returns "scalar", "neon", "avx2" or "avx512", the name of the best level for
 * CXR_EDGE_SIMD_BEST, or null for an unknown level. A static string. */
CXR_EDGE_API const char *cxr_edge_simd_name(int32_t simd);

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

/* cxr_edge_version() returns the library's version, "major.minor.patch", a static string. */
CXR_EDGE_API const char *cxr_edge_version(void);

#ifdef __cplusplus
}
#endif

#endif /* CXR_EDGE_H */
