/* Key kernels for AArch64 Advanced SIMD, which every such processor has: no target pragma. */
#if defined(__aarch64__)

#include <arm_neon.h>

#include <cstdint>

#include "simd/key_tables.h"

namespace hnsw::simd {
namespace {

struct V {
    using Keys = uint64x2x4_t;
    using Key = uint64x2_t;
    static Keys load(const uint64_t *p) { return vld1q_u64_x4(p); }
    static Key all(uint64_t key) { return vdupq_n_u64(key); }
    static uint32_t in_range(const Keys &k, Key low, Key width) {
        return mask_of(
            vcleq_u64(vsubq_u64(k.val[0], low), width), vcleq_u64(vsubq_u64(k.val[1], low), width),
            vcleq_u64(vsubq_u64(k.val[2], low), width), vcleq_u64(vsubq_u64(k.val[3], low), width));
    }
    static uint32_t equal(const Keys &k, Key key) {
        return mask_of(vceqq_u64(k.val[0], key), vceqq_u64(k.val[1], key), vceqq_u64(k.val[2], key),
                       vceqq_u64(k.val[3], key));
    }
    static uint32_t has_bits(const Keys &k, Key key) {
        return mask_of(
            vceqq_u64(vandq_u64(k.val[0], key), key), vceqq_u64(vandq_u64(k.val[1], key), key),
            vceqq_u64(vandq_u64(k.val[2], key), key), vceqq_u64(vandq_u64(k.val[3], key), key));
    }
    static uint32_t flags(const uint16_t *p, uint16_t mask, uint16_t value) {
        return bits_of(vceqq_u16(vandq_u16(vld1q_u16(p), vdupq_n_u16(mask)), vdupq_n_u16(value)));
    }
    static uint32_t rows(const uint8_t *p, const RowBits &set) { return eight_rows(p, set); }

private:
    static uint32_t mask_of(Key a, Key b, Key c, Key d) {
        const uint32x4_t low = vcombine_u32(vmovn_u64(a), vmovn_u64(b));
        const uint32x4_t high = vcombine_u32(vmovn_u64(c), vmovn_u64(d));
        return bits_of(vcombine_u16(vmovn_u32(low), vmovn_u32(high)));
    }
    /* Lanes of all ones or zeros: one bit each. */
    static uint32_t bits_of(uint16x8_t lanes) {
        static const uint16_t kBits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
        return vaddvq_u16(vandq_u16(lanes, vld1q_u16(kBits)));
    }
};

#include "simd/key_skeleton.inc"

}  // namespace

const KeyKernels kNeonKeyKernels = kTable;

}  // namespace hnsw::simd

#endif  // __aarch64__
