/* The tables of the code kernels, one per instruction set; for code_kernels.cpp alone. */
#pragma once

#include "simd/code_kernels.h"

namespace hnsw::simd {

extern const CodeKernels kCodeScalar;

}  // namespace hnsw::simd
