// The tables behind kernels_for(), one per translation unit k_<isa>.cpp. Private to src/simd.
#pragma once

#include "simd/kernels.h"

namespace hnsw::simd {

extern const Kernels kScalarKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
#elif defined(__aarch64__)
extern const Kernels kNeonKernels;
#endif

}  // namespace hnsw::simd
