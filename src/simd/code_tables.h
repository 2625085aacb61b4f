/* The tables behind code_kernels_for(), one per translation unit code_<isa>.cpp.  Private to
 * src/simd. */
#pragma once

#include "simd/code_kernels.h"

namespace hnsw::simd {

extern const CodeKernels kScalarCodeKernels;
#if defined(__x86_64__)
extern const CodeKernels kAvx2CodeKernels;
extern const CodeKernels kAvx512CodeKernels;
extern const CodeKernels kAvx512VnniCodeKernels;
#elif defined(__aarch64__)
extern const CodeKernels kNeonCodeKernels;
#endif

}  // namespace hnsw::simd
