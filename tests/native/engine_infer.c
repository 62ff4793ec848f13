/* engine_infer MODEL IMAGE KERNEL THREADS: reads one float32 image from a file, writes logits and maps as float32 to
 * standard output. What tests run under an emulator, and an example of the engine's C interface. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cxr_edge_engine.h"

static int fail(const char *what) {
  fprintf(stderr, "engine_infer: %s\n", what);
  return 1;
}

static int kernel_named(const char *name) {
  for (int kernel = CXR_EDGE_KERNEL_BEST + 1; cxr_edge_kernel_name(kernel) != NULL; ++kernel) {
    if (strcmp(cxr_edge_kernel_name(kernel), name) == 0) return kernel;
  }
  return strcmp(name, "best") == 0 ? CXR_EDGE_KERNEL_BEST : -1;
}

static int read_floats(const char *path, float *values, size_t count) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) return 0;
  const size_t got = fread(values, sizeof *values, count, file);
  fclose(file);
  return got == count;
}

static int infer(cxr_edge_engine *engine, const char *path) {
  cxr_edge_engine_description d;
  cxr_edge_engine_describe(engine, &d);
  const size_t pixels = (size_t)d.height * d.width, cells = (size_t)d.outputs * d.map_height * d.map_width;
  float *image = malloc(pixels * sizeof *image), *logit = malloc((d.outputs + cells) * sizeof *logit);
  int code = 1;
  if (image == NULL || logit == NULL || !read_floats(path, image, pixels)) {
    fail("the image cannot be read");
  } else {
    const cxr_edge_status status = cxr_edge_engine_infer(engine, image, logit, logit + d.outputs);
    if (status != CXR_EDGE_OK) {
      fail(cxr_edge_status_message(status));
    } else {
      code = fwrite(logit, sizeof *logit, d.outputs + cells, stdout) != d.outputs + cells;
    }
  }
  free(image);
  free(logit);
  return code;
}

int main(int argc, char **argv) {
  if (argc != 5) return fail("usage: engine_infer MODEL IMAGE KERNEL THREADS");
  char detail[256];
  cxr_edge_engine *engine = NULL;
  const cxr_edge_status status = cxr_edge_engine_open_file(argv[1], (uint32_t)strtoul(argv[4], NULL, 10),
                                                           kernel_named(argv[3]), &engine, detail, sizeof detail);
  if (status != CXR_EDGE_OK) {
    fail(detail);
    return 10 + (int)status;
  }
  const int code = infer(engine, argv[2]);
  cxr_edge_engine_close(engine);
  return code;
}
