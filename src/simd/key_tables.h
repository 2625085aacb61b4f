/* The tables behind key_kernels_for(), one per translation unit key_<isa>.cpp.  Private to
 * src/simd. */
#pragma once

#include "simd/key_kernels.h"

#include <cstring>

namespace hnsw::simd {

/* Whether each of eight places is in the set, for instruction sets that cannot gather. */
inline uint32_t eight_rows(const uint8_t *places, const RowBits &set) {
    uint32_t mask = 0;
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t block;
        uint16_t offset;
        std::memcpy(&block, places + 6 * i, sizeof(block));
        std::memcpy(&offset, places + 6 * i + 4, sizeof(offset));
        offset &= 0x7FFF;
        /* Not found out by a branch, which would be guessed wrong: the place read instead is word 0. */
        const bool inside = (block < set.blocks) & (offset < set.stride * 64);
        const uint64_t word =
            set.words[inside ? size_t{block} * set.stride + offset / 64 : size_t{0}];
        mask |= (static_cast<uint32_t>(word >> (offset % 64)) & uint32_t{inside}) << i;
    }
    return mask;
}

extern const KeyKernels kScalarKeyKernels;
#if defined(__x86_64__)
extern const KeyKernels kAvx2KeyKernels;
extern const KeyKernels kAvx512KeyKernels;
#elif defined(__aarch64__)
extern const KeyKernels kNeonKeyKernels;
#endif

}  // namespace hnsw::simd
