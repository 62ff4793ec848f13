// The functions of cxr_edge_cuda.h in a build without CUDA: all say so.
#include "cxr_edge_cuda.h"

namespace {

cxr_edge_status not_built(int32_t *cuda_error) {
  if (cuda_error != nullptr) *cuda_error = 0;
  return CXR_EDGE_CUDA_NOT_BUILT;
}

}  // namespace

const char *cxr_edge_cuda_build(void) { return ""; }

cxr_edge_status cxr_edge_cuda_available(int32_t *cuda_error) { return not_built(cuda_error); }

cxr_edge_status cxr_edge_cuda_preprocess_open(cxr_edge_cuda_preprocess **opened, int32_t *cuda_error) {
  if (opened != nullptr) *opened = nullptr;
  return not_built(cuda_error);
}

int32_t cxr_edge_cuda_preprocess_device(const cxr_edge_cuda_preprocess *) { return -1; }

cxr_edge_status cxr_edge_cuda_preprocess_run(const cxr_edge_cuda_preprocess *, const cxr_edge_frame *,
                                             const cxr_edge_recipe *, float *, uint32_t, uint32_t, void *,
                                             int32_t *cuda_error) {
  return not_built(cuda_error);
}

void cxr_edge_cuda_preprocess_close(cxr_edge_cuda_preprocess *) {}

const char *cxr_edge_cuda_error_name(int32_t) { return ""; }
