// Output rows shared among threads.
#pragma once

#include <cstdint>

#include "resample.h"

namespace cxr_edge {

// Runs resample_rows() over all output rows in `threads` bands, the first on the calling thread.
//
// Throws std::bad_alloc when scratch memory cannot be had, before any thread is started.
void resample_in_bands(const Resampling &job, uint32_t threads);

}  // namespace cxr_edge
