/* The tables behind key_kernels_for(), one per translation unit key_<isa>.cpp.  Private to
 * src/simd. */
#pragma once

#include "simd/key_kernels.h"

namespace hnsw::simd {

extern const KeyKernels kScalarKeyKernels;
#if defined(__x86_64__)
extern const KeyKernels kAvx2KeyKernels;
extern const KeyKernels kAvx512KeyKernels;
#elif defined(__aarch64__)
extern const KeyKernels kNeonKeyKernels;
#endif

}  // namespace hnsw::simd
