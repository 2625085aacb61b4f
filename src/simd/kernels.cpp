// Picks the table of float kernels for an instruction set.
#include "simd/kernels.h"

#include "simd/kernel_tables.h"

namespace hnsw::simd {

const Kernels &kernels_for(Isa isa) {
    if (!isa_available(isa))
        return kScalarKernels;
    switch (isa) {
#if defined(__x86_64__)
        case Isa::kAvx2:
            return kAvx2Kernels;
        case Isa::kAvx512:
        case Isa::kAvx512Vnni:
            return kAvx512Kernels;
#elif defined(__aarch64__)
        case Isa::kNeon:
            return kNeonKernels;
#endif
        default:
            return kScalarKernels;
    }
}

const Kernels &kernels() {
    static const Kernels &table = kernels_for(best_isa());
    return table;
}

}  // namespace hnsw::simd
