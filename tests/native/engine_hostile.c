/* The engine's C interface: a file of version 1 gives its stored bits, every wrong argument has its status, and a file with
 * any byte of its header or table changed, or cut anywhere, is refused or runs, without a step outside its memory. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cxr_edge_engine.h"

#define OPEN(bytes, size, threads, kernel, engine) \
  cxr_edge_engine_open_memory(bytes, size, threads, kernel, engine, NULL, 0)

static unsigned char *model;
static size_t model_size;
static float image[32 * 56], expected[58], got[58];

static unsigned char *contents(const char *name, size_t *size) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", FIXTURES, name);
  FILE *file = fopen(path, "rb");
  if (file == NULL) return NULL;
  unsigned char *bytes = malloc(1 << 20);
  *size = bytes == NULL ? 0 : fread(bytes, 1, 1 << 20, file);
  fclose(file);
  return bytes;
}

static int load(const char *name, float *values, size_t count) {
  size_t size = 0;
  unsigned char *bytes = contents(name, &size);
  const int fits = bytes != NULL && size == count * sizeof *values;
  if (fits) memcpy(values, bytes, size);
  free(bytes);
  return fits;
}

static void stored_bits(void) {
  for (int kernel = CXR_EDGE_KERNEL_BEST; cxr_edge_kernel_name(kernel) != NULL; ++kernel) {
    cxr_edge_engine *engine = NULL;
    if (!cxr_edge_kernel_available(kernel)) {
      CHECK(OPEN(model, model_size, 1, kernel, &engine) == CXR_EDGE_BAD_KERNEL, "kernel %d", kernel);
      continue;
    }
    CHECK(OPEN(model, model_size, 1, kernel, &engine) == CXR_EDGE_OK, "%s", cxr_edge_kernel_name(kernel));
    if (engine == NULL) continue;
    cxr_edge_engine_description d;
    CHECK(cxr_edge_engine_describe(engine, &d) == CXR_EDGE_OK, "describe");
    CHECK(d.height == 32 && d.width == 56 && d.outputs == 2 && d.map_height == 4 && d.map_width == 7, "description");
    CHECK(d.threads == 1 && d.kernel != CXR_EDGE_KERNEL_BEST, "what runs");
    memset(got, 0xFF, sizeof got);
    CHECK(cxr_edge_engine_infer(engine, image, got, got + 2) == CXR_EDGE_OK, "infer");
    CHECK(memcmp(got, expected, sizeof got) == 0, "%s gives other bits", cxr_edge_kernel_name(kernel));
    cxr_edge_engine_close(engine);
  }
}

static void arguments(void) {
  cxr_edge_engine *engine = NULL;
  char detail[16];
  CHECK(OPEN(NULL, 0, 1, 0, &engine) == CXR_EDGE_NULL_POINTER, "null model");
  CHECK(OPEN(model, model_size, 1, 0, NULL) == CXR_EDGE_NULL_POINTER, "null engine");
  CHECK(OPEN(model, model_size, 0, 0, &engine) == CXR_EDGE_BAD_THREADS, "no thread");
  CHECK(OPEN(model, model_size, 1u << 30, 0, &engine) == CXR_EDGE_BAD_THREADS, "2^30 threads");
  CHECK(OPEN(model, model_size, 1, 99, &engine) == CXR_EDGE_BAD_KERNEL, "kernel 99");
  CHECK(OPEN(model, model_size, 1, -1, &engine) == CXR_EDGE_BAD_KERNEL, "kernel -1");
  CHECK(cxr_edge_engine_open_file(NULL, 1, 0, &engine, NULL, 0) == CXR_EDGE_NULL_POINTER, "null path");
  CHECK(cxr_edge_engine_open_file("no such file", 1, 0, &engine, detail, sizeof detail) == CXR_EDGE_CANNOT_READ, "path");
  CHECK(strlen(detail) == sizeof detail - 1 && engine == NULL, "a sentence cut off at its capacity: %s", detail);
  CHECK(cxr_edge_engine_open_file(FIXTURES, 1, 0, &engine, NULL, 0) == CXR_EDGE_CANNOT_READ, "a directory");
  CHECK(cxr_edge_engine_open_file(FIXTURES "/version1.native", 1, 0, &engine, NULL, 0) == CXR_EDGE_OK, "the file");
  if (engine == NULL) return;
  got[0] = -7.0f;
  CHECK(cxr_edge_engine_infer(NULL, image, got, got + 2) == CXR_EDGE_NULL_POINTER, "null engine");
  CHECK(cxr_edge_engine_infer(engine, NULL, got, got + 2) == CXR_EDGE_NULL_POINTER, "null image");
  CHECK(cxr_edge_engine_infer(engine, image, NULL, got) == CXR_EDGE_NULL_POINTER, "null logit");
  CHECK(cxr_edge_engine_infer(engine, image, got, NULL) == CXR_EDGE_NULL_POINTER, "null map");
  CHECK(cxr_edge_engine_describe(engine, NULL) == CXR_EDGE_NULL_POINTER, "null description");
  const float pixel = image[77];
  image[77] = NAN;
  CHECK(cxr_edge_engine_infer(engine, image, got, got + 2) == CXR_EDGE_BAD_IMAGE, "NaN");
  image[77] = -INFINITY;
  CHECK(cxr_edge_engine_infer(engine, image, got, got + 2) == CXR_EDGE_BAD_IMAGE, "infinity");
  CHECK(got[0] == -7.0f, "an output was touched");
  image[77] = pixel;
  CHECK(cxr_edge_engine_infer(engine, image, got, got + 2) == CXR_EDGE_OK, "a good image after bad ones");
  CHECK(memcmp(got, expected, sizeof got) == 0, "a good image after bad ones");
  cxr_edge_engine_close(engine);
  cxr_edge_engine_close(NULL);
}

/* A copy of exactly its size, so that a sanitizer sees the first byte outside. */
static cxr_edge_status open_copy(const unsigned char *bytes, size_t size) {
  unsigned char *copy = malloc(size == 0 ? 1 : size);
  if (copy == NULL) return CXR_EDGE_OUT_OF_MEMORY;
  memcpy(copy, bytes, size);
  cxr_edge_engine *engine = NULL;
  const cxr_edge_status status = OPEN(copy, size, 1, CXR_EDGE_KERNEL_BEST, &engine);
  free(copy);
  CHECK((engine != NULL) == (status == CXR_EDGE_OK), "status %d", status);
  if (engine != NULL) {
    cxr_edge_engine_description d;
    cxr_edge_engine_describe(engine, &d);
    if (d.height == 32 && d.width == 56 && d.outputs == 2) cxr_edge_engine_infer(engine, image, got, got + 2);
    cxr_edge_engine_close(engine);
  }
  return status;
}

static void damaged_files(void) {
  size_t accepted = 0;
  const size_t table_end = 64 + 64 * 10;
  for (size_t at = 0; at < table_end; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      model[at] ^= (unsigned char)(1 << bit);
      accepted += open_copy(model, model_size) == CXR_EDGE_OK;
      model[at] ^= (unsigned char)(1 << bit);
    }
  }
  /* The reserved bytes, the input's scale and zero, and prologues that swap their form within the same space. */
  CHECK(accepted < 8 * table_end / 2, "%zu files accepted", accepted);
  for (size_t size = 0; size < model_size; size += size < table_end ? 1 : 257) {
    CHECK(open_copy(model, size) == CXR_EDGE_BAD_MODEL, "cut to %zu bytes", size);
  }
}

int main(void) {
  model = contents("version1.native", &model_size);
  CHECK(model != NULL && load("version1.image", image, 32 * 56) && load("version1.expected", expected, 58), "fixtures");
  if (failures != 0) return 1;
  stored_bits();
  arguments();
  damaged_files();
  free(model);
  return failures != 0;
}
