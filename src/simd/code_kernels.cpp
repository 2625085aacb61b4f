/* Picks the table of code kernels for an instruction set. */
#include "simd/code_kernels.h"

#include "simd/code_tables.h"

namespace hnsw::simd {

const CodeKernels &code_kernels_for(Isa isa) {
    if (!isa_available(isa))
        return kScalarCodeKernels;
    switch (isa) {
#if defined(__x86_64__)
        case Isa::kAvx2:
            return kAvx2CodeKernels;
        case Isa::kAvx512:
            return kAvx512CodeKernels;
        case Isa::kAvx512Vnni:
            return kAvx512VnniCodeKernels;
#elif defined(__aarch64__)
        case Isa::kNeon:
            return kNeonCodeKernels;
#endif
        default:
            return kScalarCodeKernels;
    }
}

const CodeKernels &code_kernels() {
    static const CodeKernels &table = code_kernels_for(best_isa());
    return table;
}

}  // namespace hnsw::simd
