/* Picks the table of key kernels for an instruction set. */
#include "simd/key_kernels.h"

#include "simd/key_tables.h"

namespace hnsw::simd {

const KeyKernels &key_kernels_for(Isa isa) {
    if (!isa_available(isa))
        return kScalarKeyKernels;
    switch (isa) {
#if defined(__x86_64__)
        case Isa::kAvx2:
            return kAvx2KeyKernels;
        case Isa::kAvx512:
        case Isa::kAvx512Vnni:
            return kAvx512KeyKernels;
#elif defined(__aarch64__)
        case Isa::kNeon:
            return kNeonKeyKernels;
#endif
        default:
            return kScalarKeyKernels;
    }
}

const KeyKernels &key_kernels() {
    static const KeyKernels &table = key_kernels_for(best_isa());
    return table;
}

}  // namespace hnsw::simd
