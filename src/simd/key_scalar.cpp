/* Key kernels in portable C++: the reference for every other table. */
#include <cstdint>

#include "simd/key_tables.h"

namespace hnsw::simd {
namespace {

struct V {
    using Keys = const uint64_t *;
    using Key = uint64_t;
    static Keys load(const uint64_t *p) { return p; }
    static Key all(uint64_t key) { return key; }
    static uint32_t in_range(Keys k, Key low, Key width) {
        uint32_t mask = 0;
        for (uint32_t i = 0; i < 8; i++)
            mask |= uint32_t{k[i] - low <= width} << i;
        return mask;
    }
    static uint32_t equal(Keys k, Key key) {
        uint32_t mask = 0;
        for (uint32_t i = 0; i < 8; i++)
            mask |= uint32_t{k[i] == key} << i;
        return mask;
    }
    static uint32_t has_bits(Keys k, Key key) {
        uint32_t mask = 0;
        for (uint32_t i = 0; i < 8; i++)
            mask |= uint32_t{(k[i] & key) == key} << i;
        return mask;
    }
    static uint32_t flags(const uint16_t *p, uint16_t mask, uint16_t value) {
        uint32_t met = 0;
        for (uint32_t i = 0; i < 8; i++)
            met |= uint32_t{(p[i] & mask) == value} << i;
        return met;
    }
    static uint32_t rows(const uint8_t *p, const RowBits &set) { return eight_rows(p, set); }
};

#include "simd/key_skeleton.inc"

}  // namespace

const KeyKernels kScalarKeyKernels = kTable;

}  // namespace hnsw::simd
