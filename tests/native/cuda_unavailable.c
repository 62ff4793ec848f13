/* Where there is no CUDA in the build, no driver or no GPU, every function of cxr_edge_cuda.h says which, and nothing
 * crashes. Where there is a GPU, what a caller may get wrong is said before the GPU hears of it. */
#include <string.h>

#include "check.h"
#include "cxr_edge_cuda.h"

static uint16_t pixels[8 * 8];
static float out[4 * 4];

static int is_unavailable(cxr_edge_status status) {
  return status == CXR_EDGE_CUDA_NOT_BUILT || status == CXR_EDGE_CUDA_NO_DRIVER || status == CXR_EDGE_CUDA_NO_DEVICE;
}

static cxr_edge_status run(const cxr_edge_cuda_preprocess *opened, uint32_t crop_height) {
  const cxr_edge_frame frame = {pixels, CXR_EDGE_UINT16, 8, 8, 8 * sizeof(uint16_t)};
  cxr_edge_recipe recipe;
  memset(&recipe, 0, sizeof recipe);
  recipe.crop_height = crop_height, recipe.crop_width = 8;
  recipe.window_hi = 4095;
  int32_t cuda_error = -1;
  const cxr_edge_status status = cxr_edge_cuda_preprocess_run(opened, &frame, &recipe, out, 4, 4, NULL, &cuda_error);
  CHECK(cuda_error >= 0, "the CUDA error is always set");
  return status;
}

static void without_a_gpu(cxr_edge_status expected) {
  cxr_edge_cuda_preprocess *opened = (cxr_edge_cuda_preprocess *)(void *)pixels;
  int32_t cuda_error = -1;
  CHECK(cxr_edge_cuda_preprocess_open(&opened, &cuda_error) == expected, "open says what available() says");
  CHECK(opened == NULL && cuda_error >= 0, "no handle");
  const cxr_edge_status built = expected == CXR_EDGE_CUDA_NOT_BUILT ? expected : CXR_EDGE_NULL_POINTER;
  CHECK(run(NULL, 8) == built, "running without a handle");
  CHECK(cxr_edge_cuda_preprocess_open(NULL, NULL) == built, "nowhere to put the handle");
}

static void with_a_gpu(void) {
  cxr_edge_cuda_preprocess *opened = NULL;
  const cxr_edge_status status = cxr_edge_cuda_preprocess_open(&opened, NULL);
  CHECK(status == CXR_EDGE_OK && opened != NULL, "%s", cxr_edge_status_message(status));
  CHECK(run(opened, 9) == CXR_EDGE_BAD_CROP, "arguments are checked as on the CPU");
  CHECK(run(opened, 8) == CXR_EDGE_CUDA_BAD_POINTER, "ordinary host memory is refused, not read");
  cxr_edge_cuda_preprocess_close(opened);
}

int main(void) {
  int32_t cuda_error = -1;
  const cxr_edge_status status = cxr_edge_cuda_available(&cuda_error);
  printf("built with: \"%s\"; here: %s %s\n", cxr_edge_cuda_build(), cxr_edge_status_message(status),
         cxr_edge_cuda_error_name(cuda_error));
  CHECK(status == CXR_EDGE_OK || is_unavailable(status), "status %d", status);
  CHECK((cxr_edge_cuda_build()[0] == '\0') == (status == CXR_EDGE_CUDA_NOT_BUILT), "build and status agree");
  if (status == CXR_EDGE_OK) with_a_gpu();
  else without_a_gpu(status);
  CHECK(cxr_edge_cuda_preprocess_device(NULL) == -1, "no handle, no device");
  cxr_edge_cuda_preprocess_close(NULL);
  return failures != 0;
}
