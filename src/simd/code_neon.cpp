/* Code kernels for AArch64 Advanced SIMD, which every such processor has: no target pragma.  See
 * code_skeleton.inc for the loops and the meaning of V's members. */
#if defined(__aarch64__)

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "simd/code_tables.h"

namespace hnsw::simd {
namespace {

struct V {
    using F = float32x4_t;
    static constexpr size_t kLanes = 4;
    static constexpr int kBlock = 16;
    static F zero() { return vdupq_n_f32(0); }
    static F set1(float x) { return vdupq_n_f32(x); }
    static F load(const float *p) { return vld1q_f32(p); }
    static void store(float *p, F x) { vst1q_f32(p, x); }
    static F load_tail(const float *p, size_t n) {
        float lanes[kLanes] = {};
        std::memcpy(lanes, p, n * sizeof(float));
        return vld1q_f32(lanes);
    }
    static void store_first(float *p, F x, size_t n) {
        if (n == kLanes)
            return store(p, x);
        float lanes[kLanes];
        store(lanes, x);
        std::memcpy(p, lanes, n * sizeof(float));
    }
    static F load_i8(const int8_t *p) {
        int32_t four;
        std::memcpy(&four, p, sizeof(four));
        int8x8_t bytes = vreinterpret_s8_s32(vdup_n_s32(four));
        return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes))));
    }
    static F load_i32(const int32_t *p) { return vcvtq_f32_s32(vld1q_s32(p)); }
    static F load_bf16(const uint16_t *p, size_t n) {
        uint16_t lanes[kLanes] = {};
        std::memcpy(lanes, p, n * sizeof(uint16_t));
        return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(lanes), 16));
    }
    static F add(F a, F b) { return vaddq_f32(a, b); }
    static F sub(F a, F b) { return vsubq_f32(a, b); }
    static F mul(F a, F b) { return vmulq_f32(a, b); }
    static F max(F a, F b) { return vmaxnmq_f32(a, b); }
    static F min(F a, F b) { return vminnmq_f32(a, b); }
    static F abs(F a) { return vabsq_f32(a); }
    static F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
    static F fnma(F a, F b, F c) { return vfmsq_f32(c, a, b); }
    static F product(F a, F b) {
        F x = vmulq_f32(a, b);
        __asm__("" : "+w"(x)); /* gcc would fuse it */
        return x;
    }
    static float reduce(F a) { return vaddvq_f32(a); }
    static float reduce_max(F a) { return vmaxvq_f32(a); }
    static F round_i8(F y, int8_t *out) {
        int32x4_t i = vcvtnq_s32_f32(y);
        int16x4_t words = vmovn_s32(i);
        int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
        int32_t four = vget_lane_s32(vreinterpret_s32_s8(bytes), 0);
        std::memcpy(out, &four, sizeof(four));
        return vcvtq_f32_s32(i);
    }
    static unsigned signs(F r) {
        const uint32_t weights[kLanes] = {1, 2, 4, 8};
        return vaddvq_u32(vandq_u32(vcgeq_f32(r, zero()), vld1q_u32(weights)));
    }
    static F with_sign(F x, F r) { return vbslq_f32(vcgeq_f32(r, zero()), x, vnegq_f32(x)); }
    static F transform(F x) {
        const float odd[kLanes] = {1, -1, 1, -1}, high[kLanes] = {1, 1, -1, -1};
        x = fma(x, vld1q_f32(odd), vrev64q_f32(x));
        return fma(x, vld1q_f32(high), vextq_f32(x, x, 2));
    }
    static F flip(F x, uint32_t bits) {
        const int32_t to_sign[kLanes] = {31, 30, 29, 28};
        uint32x4_t signs = vshlq_u32(vdupq_n_u32(bits), vld1q_s32(to_sign));
        signs = vandq_u32(signs, vdupq_n_u32(0x80000000u));
        return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(x), signs));
    }

    using D = float64x2_t;
    static constexpr size_t kDoubleLanes = 2;
    static D zero_d() { return vdupq_n_f64(0); }
    static D set1_d(double x) { return vdupq_n_f64(x); }
    static D load_d(const float *p) { return vcvt_f64_f32(vld1_f32(p)); }
    static D sub_d(D a, D b) { return vsubq_f64(a, b); }
    static D mul_d(D a, D b) { return vmulq_f64(a, b); }
    static D fma_d(D a, D b, D c) { return vfmaq_f64(c, a, b); }
    static void store_d(float *p, D x) { vst1_f32(p, vcvt_f32_f64(x)); }
    static void store_doubles(double *p, D x) { vst1q_f64(p, x); }

    using I = int32x4_t;
    static constexpr size_t kBytes = 16;
    using Row = int8x16_t;
    static I zero_i() { return vdupq_n_s32(0); }
    static I add_i(I a, I b) { return vaddq_s32(a, b); }
    static I sub_i(I a, I b) { return vsubq_s32(a, b); }
    static Row row(const int8_t *p) { return vld1q_s8(p); }
    /* The sum of two products is at most 2 * 127^2, within 16 bits. */
    static I dot(I acc, Row a, const int8_t *p) {
        int8x16_t b = vld1q_s8(p);
        int16x8_t pairs = vmull_s8(vget_low_s8(a), vget_low_s8(b));
        return vpadalq_s16(acc, vmlal_high_s8(pairs, a, b));
    }
    static I bias(I acc, Row) { return acc; }
    static int32_t reduce_i(I a) { return vaddvq_s32(a); }
    static void reduce4_i(const I *a, int32_t *out) {
        vst1q_s32(out, vpaddq_s32(vpaddq_s32(a[0], a[1]), vpaddq_s32(a[2], a[3])));
    }

    static constexpr int kNeighbours = 1;
    using C = uint8x16_t;
    using S = int16x8_t;
    static C codes(const uint8_t *const *rows, size_t offset) { return vld1q_u8(rows[0] + offset); }
    static C codes8(const uint8_t *const *rows, size_t offset) {
        return vcombine_u8(vld1_u8(rows[0] + offset), vdup_n_u8(0));
    }
    static void spread(const int8_t *q, int8_t *out) {
        int8x16x4_t low = vld4q_s8(q), high = vld4q_s8(q + 64); /* val[j]: q[4 * i + j] */
        for (int k = 0; k < 4; k++) {
            vst1q_s8(out + 16 * k, vuzp1q_s8(low.val[k], high.val[k]));
            vst1q_s8(out + 16 * (k + 4), vuzp2q_s8(low.val[k], high.val[k]));
        }
    }
    static S zero_s() { return vdupq_n_s16(0); }
    template <int k>
    static S bits(S acc, C code, const int8_t *q) {
        uint8x16_t set = vtstq_u8(code, vdupq_n_u8(1 << k));
        return vpadalq_s8(acc, vandq_s8(vreinterpretq_s8_u8(set), vld1q_s8(q)));
    }
    static void store_sums(const S *acc, int32_t *out) {
        I wide[4] = {vpaddlq_s16(acc[0]), vpaddlq_s16(acc[1]), vpaddlq_s16(acc[2]),
                     vpaddlq_s16(acc[3])};
        reduce4_i(wide, out);
    }

    static uint32_t hamming(const uint8_t *a, const uint8_t *b, uint32_t bits) {
        const size_t bytes = bits / 8;
        uint32x4_t sum = vdupq_n_u32(0);
        size_t i = 0;
        for (; i + 16 <= bytes; i += 16) {
            uint8x16_t set = vcntq_u8(veorq_u8(vld1q_u8(a + i), vld1q_u8(b + i)));
            sum = vpadalq_u16(sum, vpaddlq_u8(set));
        }
        uint32_t count = vaddvq_u32(sum);
        if (i < bytes)
            count += vaddv_u8(vcnt_u8(veor_u8(vld1_u8(a + i), vld1_u8(b + i))));
        return count;
    }
};

#include "simd/code_skeleton.inc"

}  // namespace

const CodeKernels kNeonCodeKernels = kTable;

}  // namespace hnsw::simd

#endif /* __aarch64__ */
