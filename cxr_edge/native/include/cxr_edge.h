/*
 * cxr_edge.h - the C interface of cxr-edge's native preprocessing. This header is the contract.
 *
 * One call turns the stored pixels of a radiograph into the network's input: crop, window, exact area resampling, one
 * linear map. Every result is defined to the last bit (docs/architecture.md, "Preprocessing"): neither the SIMD level
 * nor the number of threads changes it.
 *
 * Ownership: the library keeps no pointer that it is given and returns none that must be freed.
 * Threads:   every function may be called from several threads at once; there is no global state.
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
  CXR_EDGE_BAD_THREADS = 7,    /* threads is 0; for an engine, also more than the process may use */
  CXR_EDGE_BAD_SIMD = 8,       /* the SIMD level is unknown, or this build or processor does not have it */
  CXR_EDGE_OUT_OF_MEMORY = 9,  /* memory could not be had */
  /* Only functions of cxr_edge_cuda.h return 10 to 16. */
  CXR_EDGE_CUDA_NOT_BUILT = 10,    /* this library was built without CUDA */
  CXR_EDGE_CUDA_NO_DRIVER = 11,    /* no NVIDIA driver, or one too old for the CUDA version of this build */
  CXR_EDGE_CUDA_NO_DEVICE = 12,    /* a driver, but no GPU that this process may use */
  CXR_EDGE_CUDA_NO_KERNEL = 13,    /* this build has no code for the GPU's architecture */
  CXR_EDGE_CUDA_WRONG_DEVICE = 14, /* the calling thread's current device is not the one that was opened */
  CXR_EDGE_CUDA_BAD_POINTER = 15,  /* pixels or output are not memory that the opened device can reach */
  CXR_EDGE_CUDA_FAILED = 16,       /* any other error of the CUDA runtime; its number says which */
  /* Only functions of cxr_edge_engine.h return those below. */
  CXR_EDGE_BAD_KERNEL = 17,  /* the kernel is unknown, or this build or processor does not have it */
  CXR_EDGE_CANNOT_READ = 18, /* the model file cannot be opened or read */
  CXR_EDGE_BAD_MODEL = 19,   /* the model is damaged, of another version, or its sizes don't add up */
  CXR_EDGE_BAD_IMAGE = 20    /* the image holds NaN or infinity */
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

/* cxr_edge_version() returns the library's version, "major.minor.patch", a static string. */
CXR_EDGE_API const char *cxr_edge_version(void);

#ifdef __cplusplus
}
#endif

#endif /* CXR_EDGE_H */
