/* Picks the table of code kernels for an instruction set. */
#include "simd/code_kernels.h"

#include "simd/code_tables.h"

namespace hnsw::simd {

const CodeKernels &code_kernels_for(Isa) { return kCodeScalar; }

const CodeKernels &code_kernels() { return code_kernels_for(best_isa()); }

}  // namespace hnsw::simd
