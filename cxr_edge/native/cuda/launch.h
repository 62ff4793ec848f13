// The kernels, for the C interface.
#pragma once

#include <cuda_runtime_api.h>

#include "tile_job.h"

namespace cxr_edge {

// Loads every kernel onto the current device.
cudaError_t load_kernels();

// Queues the plan's kernel on a stream.
cudaError_t launch(const TilePlan &plan, cudaStream_t stream);

}  // namespace cxr_edge
