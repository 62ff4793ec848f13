/* Every wrong argument has its status, and nothing is written; the limits themselves are accepted. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cxr_edge.h"

static uint16_t pixels[8 * 8];
static float out[4 * 4];

static cxr_edge_frame good_frame(void) {
  const cxr_edge_frame frame = {pixels, CXR_EDGE_UINT16, 8, 8, 8 * sizeof(uint16_t)};
  return frame;
}

static cxr_edge_recipe good_recipe(void) {
  cxr_edge_recipe recipe;
  memset(&recipe, 0, sizeof recipe);
  recipe.crop_height = recipe.crop_width = 8;
  recipe.window_hi = 4095;
  recipe.scale = 1.0;
  return recipe;
}

static cxr_edge_status run(cxr_edge_frame frame, cxr_edge_recipe recipe) {
  out[0] = -1.0f;
  const cxr_edge_status status = cxr_edge_preprocess(&frame, &recipe, out, 4, 4, CXR_EDGE_SIMD_BEST, 1);
  CHECK(status == CXR_EDGE_OK || out[0] == -1.0f, "output was touched on status %d", status);
  return status;
}

static void frames(void) {
  cxr_edge_frame frame = good_frame();
  CHECK(run(frame, good_recipe()) == CXR_EDGE_OK, "the good frame");
  frame.pixels = NULL;
  CHECK(run(frame, good_recipe()) == CXR_EDGE_NULL_POINTER, "null pixels");
  frame = good_frame(), frame.pixel_type = 4;
  CHECK(run(frame, good_recipe()) == CXR_EDGE_BAD_PIXEL_TYPE, "type 4");
  frame = good_frame(), frame.height = 0;
  CHECK(run(frame, good_recipe()) == CXR_EDGE_BAD_SIZE, "no rows");
  frame = good_frame(), frame.row_stride = 14;
  CHECK(run(frame, good_recipe()) == CXR_EDGE_BAD_STRIDE, "rows overlap");
  frame = good_frame(), frame.height = 7, frame.row_stride = 17;
  CHECK(run(frame, good_recipe()) == CXR_EDGE_BAD_STRIDE, "odd stride of 16-bit rows");
}

static void crops(void) {
  cxr_edge_recipe recipe = good_recipe();
  recipe.crop_height = 0;
  CHECK(run(good_frame(), recipe) == CXR_EDGE_BAD_CROP, "empty crop");
  recipe = good_recipe(), recipe.crop_top = 1;
  CHECK(run(good_frame(), recipe) == CXR_EDGE_BAD_CROP, "one row too low");
  recipe = good_recipe(), recipe.crop_left = UINT32_MAX;
  CHECK(run(good_frame(), recipe) == CXR_EDGE_BAD_CROP, "left + width wraps");
}

static void windows(void) {
  cxr_edge_recipe recipe = good_recipe();
  recipe.window_hi = recipe.window_lo;
  CHECK(run(good_frame(), recipe) == CXR_EDGE_BAD_WINDOW, "span 0");
  recipe.window_hi = 65535;
  CHECK(run(good_frame(), recipe) == CXR_EDGE_OK, "span 65535");
  recipe.window_hi = 65536;
  CHECK(run(good_frame(), recipe) == CXR_EDGE_BAD_WINDOW, "span 65536");
  recipe.window_lo = INT32_MIN, recipe.window_hi = INT32_MAX;
  CHECK(run(good_frame(), recipe) == CXR_EDGE_BAD_WINDOW, "hi - lo wraps 32 bits");
}

static void calls(void) {
  const cxr_edge_frame frame = good_frame();
  const cxr_edge_recipe recipe = good_recipe();
  CHECK(cxr_edge_preprocess(NULL, &recipe, out, 4, 4, 0, 1) == CXR_EDGE_NULL_POINTER, "null frame");
  CHECK(cxr_edge_preprocess(&frame, NULL, out, 4, 4, 0, 1) == CXR_EDGE_NULL_POINTER, "null recipe");
  CHECK(cxr_edge_preprocess(&frame, &recipe, NULL, 4, 4, 0, 1) == CXR_EDGE_NULL_POINTER, "null output");
  CHECK(cxr_edge_preprocess(&frame, &recipe, out, 0, 4, 0, 1) == CXR_EDGE_BAD_SIZE, "no output rows");
  CHECK(cxr_edge_preprocess(&frame, &recipe, out, 4, 65536, 0, 1) == CXR_EDGE_BAD_SIZE, "output too wide");
  CHECK(cxr_edge_preprocess(&frame, &recipe, out, 4, 4, 0, 0) == CXR_EDGE_BAD_THREADS, "no thread");
  CHECK(cxr_edge_preprocess(&frame, &recipe, out, 4, 4, 99, 1) == CXR_EDGE_BAD_SIMD, "level 99");
  CHECK(cxr_edge_preprocess(&frame, &recipe, out, 4, 4, -1, 1) == CXR_EDGE_BAD_SIMD, "level -1");
}

/* 65,535 saturated rows are the most that 32-bit column sums are promised for. */
static void tallest_crop(void) {
  const uint32_t height = CXR_EDGE_MAX_SIDE;
  uint16_t *column = malloc((height + 1) * sizeof *column);
  if (column == NULL) return;
  memset(column, 0xFF, (height + 1) * sizeof *column);
  const cxr_edge_frame frame = {column, CXR_EDGE_UINT16, height + 1, 1, sizeof *column};
  cxr_edge_recipe recipe = good_recipe();
  recipe.crop_height = height, recipe.crop_width = 1, recipe.window_hi = 65535;
  recipe.scale = 1.0 / ((double)height * 65535.0);
  CHECK(cxr_edge_preprocess(&frame, &recipe, out, 4, 4, 0, 1) == CXR_EDGE_OK, "a crop of the largest side");
  for (int k = 0; k < 16; ++k) CHECK(out[k] == 1.0f, "pixel %d is %g", k, (double)out[k]);
  recipe.crop_height = height + 1;
  CHECK(cxr_edge_preprocess(&frame, &recipe, out, 4, 4, 0, 1) == CXR_EDGE_BAD_SIZE, "one row more");
  free(column);
}

static void names(void) {
  for (int status = CXR_EDGE_OK; status <= CXR_EDGE_CUDA_FAILED; ++status) {
    CHECK(strcmp(cxr_edge_status_message((cxr_edge_status)status), "unknown status") != 0, "status %d", status);
  }
  CHECK(cxr_edge_simd_available(CXR_EDGE_SIMD_SCALAR) && cxr_edge_simd_available(cxr_edge_simd_best()), "levels");
  CHECK(cxr_edge_simd_name(99) == NULL && !cxr_edge_simd_available(99), "an unknown level has no name");
  CHECK(strcmp(cxr_edge_simd_name(CXR_EDGE_SIMD_BEST), cxr_edge_simd_name(cxr_edge_simd_best())) == 0, "best");
  CHECK(cxr_edge_version()[0] != '\0', "version");
}

int main(void) {
  frames();
  crops();
  windows();
  calls();
  tallest_crop();
  names();
  return failures != 0;
}
