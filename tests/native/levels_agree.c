/* Every SIMD level and number of threads gives the bits that the definition gives, on random frames and recipes. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cxr_edge.h"

#define MAX_INPUT 150u
#define MAX_OUTPUT 40u
#define CASES 1500

static uint64_t random_state = 20261123u;

/* Uniform in [first, last] (xorshift64*, Vigna 2016). */
static int32_t draw(int32_t first, int32_t last) {
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  const uint64_t span = (uint64_t)((int64_t)last - first + 1);
  return (int32_t)(first + (int64_t)((random_state * 2685821657736338717u >> 20) % span));
}

static int32_t stored_value(const cxr_edge_frame *frame, uint32_t y, uint32_t x) {
  const unsigned char *row = (const unsigned char *)frame->pixels + y * frame->row_stride;
  switch (frame->pixel_type) {
    case CXR_EDGE_UINT8: return ((const uint8_t *)row)[x];
    case CXR_EDGE_UINT16: return ((const uint16_t *)(const void *)row)[x];
    case CXR_EDGE_INT8: return ((const int8_t *)row)[x];
    default: return ((const int16_t *)(const void *)row)[x];
  }
}

static uint64_t value_of(int32_t stored, const cxr_edge_recipe *recipe) {
  if (recipe->has_padding && stored >= recipe->padding_first && stored <= recipe->padding_last) {
    return recipe->inverted ? (uint64_t)((int64_t)recipe->window_hi - recipe->window_lo) : 0;
  }
  if (stored < recipe->window_lo) stored = recipe->window_lo;
  if (stored > recipe->window_hi) stored = recipe->window_hi;
  return (uint64_t)((int64_t)stored - recipe->window_lo);
}

/* Length of [x * out, (x + 1) * out) within [i * in, (i + 1) * in). */
static uint64_t overlap(uint64_t x, uint64_t out, uint64_t i, uint64_t in) {
  const uint64_t start = x * out > i * in ? x * out : i * in;
  const uint64_t stop = (x + 1) * out < (i + 1) * in ? (x + 1) * out : (i + 1) * in;
  return stop > start ? stop - start : 0;
}

/* The definition, pixel by pixel, without any of the library's shortcuts. */
static float expected(const cxr_edge_frame *frame, const cxr_edge_recipe *r, uint32_t height, uint32_t width,
                      uint32_t i, uint32_t j) {
  uint64_t sum = 0;
  for (uint32_t y = 0; y < r->crop_height; ++y) {
    const uint64_t row_weight = overlap(y, height, i, r->crop_height);
    if (row_weight == 0) continue;
    for (uint32_t x = 0; x < r->crop_width; ++x) {
      const uint64_t weight = row_weight * overlap(x, width, j, r->crop_width);
      if (weight != 0) sum += weight * value_of(stored_value(frame, r->crop_top + y, r->crop_left + x), r);
    }
  }
  return (float)((double)sum * r->scale + r->offset);
}

static cxr_edge_frame random_frame(uint16_t *memory) {
  cxr_edge_frame frame;
  frame.pixels = memory;
  frame.pixel_type = draw(CXR_EDGE_UINT8, CXR_EDGE_INT16);
  frame.height = (uint32_t)draw(1, MAX_INPUT);
  frame.width = (uint32_t)draw(1, MAX_INPUT);
  frame.row_stride = 2 * (frame.width + (uint32_t)draw(0, 3));
  /* Saturated and random values in turn: sums must not overflow at the top of the range. */
  const int saturated = draw(0, 9) == 0;
  const size_t words = frame.row_stride / 2 * frame.height;
  for (size_t k = 0; k < words; ++k) memory[k] = saturated ? 0xFFFF : (uint16_t)draw(0, 0xFFFF);
  return frame;
}

static cxr_edge_recipe random_recipe(const cxr_edge_frame *frame) {
  cxr_edge_recipe recipe;
  memset(&recipe, 0, sizeof recipe);
  recipe.crop_top = (uint32_t)draw(0, (int32_t)frame->height - 1);
  recipe.crop_left = (uint32_t)draw(0, (int32_t)frame->width - 1);
  recipe.crop_height = (uint32_t)draw(1, (int32_t)(frame->height - recipe.crop_top));
  recipe.crop_width = (uint32_t)draw(1, (int32_t)(frame->width - recipe.crop_left));
  const int full = draw(0, 3) == 0;
  const int is_signed = frame->pixel_type == CXR_EDGE_INT8 || frame->pixel_type == CXR_EDGE_INT16;
  recipe.window_lo = full ? (is_signed ? -32768 : 0) : draw(-100000, 100000);
  recipe.window_hi = recipe.window_lo + (full ? 65535 : draw(1, 65535));
  recipe.has_padding = draw(0, 1);
  recipe.padding_first = draw(-70000, 70000);
  recipe.padding_last = recipe.padding_first + draw(-2, 40000);
  recipe.inverted = draw(0, 1);
  recipe.scale = (recipe.inverted ? -1.0 : 1.0) / draw(1, 2000000000);
  recipe.offset = draw(-1000, 1000) / 333.0;
  return recipe;
}

static void check_case(const cxr_edge_frame *frame, const cxr_edge_recipe *recipe) {
  static float want[MAX_OUTPUT * MAX_OUTPUT], got[MAX_OUTPUT * MAX_OUTPUT];
  const uint32_t height = (uint32_t)draw(1, MAX_OUTPUT), width = (uint32_t)draw(1, MAX_OUTPUT);
  for (uint32_t i = 0; i < height; ++i) {
    for (uint32_t j = 0; j < width; ++j) want[i * width + j] = expected(frame, recipe, height, width, i, j);
  }
  for (int32_t level = CXR_EDGE_SIMD_SCALAR; level <= CXR_EDGE_SIMD_AVX512; ++level) {
    if (!cxr_edge_simd_available(level)) continue;
    const uint32_t threads = (uint32_t)draw(1, 4);
    memset(got, 0xFF, sizeof got);
    const cxr_edge_status status = cxr_edge_preprocess(frame, recipe, got, height, width, level, threads);
    CHECK(status == CXR_EDGE_OK, "%s: %s", cxr_edge_simd_name(level), cxr_edge_status_message(status));
    CHECK(memcmp(got, want, height * width * sizeof *got) == 0,
          "%s, %u threads: type %d, crop %ux%u to %ux%u, window %d..%d, padding %d: %d..%d", cxr_edge_simd_name(level),
          threads, frame->pixel_type, recipe->crop_height, recipe->crop_width, height, width, recipe->window_lo,
          recipe->window_hi, recipe->has_padding, recipe->padding_first, recipe->padding_last);
  }
}

int main(void) {
  uint16_t *memory = malloc(2 * MAX_INPUT * (MAX_INPUT + 3));
  if (memory == NULL) return 1;
  for (int k = 0; k < CASES && failures < 10; ++k) {
    const cxr_edge_frame frame = random_frame(memory);
    const cxr_edge_recipe recipe = random_recipe(&frame);
    check_case(&frame, &recipe);
  }
  free(memory);
  printf("best level here: %s\n", cxr_edge_simd_name(CXR_EDGE_SIMD_BEST));
  return failures != 0;
}
