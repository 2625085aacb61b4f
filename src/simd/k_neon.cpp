// Float kernels for AArch64 Advanced SIMD, which every such processor has: no target pragma.
#if defined(__aarch64__)

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "simd/kernel_tables.h"

namespace hnsw::simd {
namespace {

struct V {
    using F = float32x4_t;
    static constexpr size_t kLanes = 4;
    static F zero() { return vdupq_n_f32(0); }
    static F load(const float *p) { return vld1q_f32(p); }
    static F load_tail(const float *p, size_t n) {
        float lanes[4] = {};
        std::memcpy(lanes, p, n * sizeof(float));
        return vld1q_f32(lanes);
    }
    static F add(F a, F b) { return vaddq_f32(a, b); }
    static F sub(F a, F b) { return vsubq_f32(a, b); }
    static F abs(F a) { return vabsq_f32(a); }
    static F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
    static float reduce(F a) { return vaddvq_f32(a); }
    static void store_reversed(const std::byte *in, float *out) {
        uint8x16_t bytes = vrev32q_u8(vld1q_u8(reinterpret_cast<const uint8_t *>(in)));
        vst1q_f32(out, vreinterpretq_f32_u8(bytes));
    }

    using D = float64x2_t;
    static constexpr size_t kDoubleLanes = 2;
    static D zero_d() { return vdupq_n_f64(0); }
    static D load_d(const float *p) { return vcvt_f64_f32(vld1_f32(p)); }
    static D load_tail_d(const float *p, size_t) {
        return vcvt_f64_f32(vset_lane_f32(*p, vdup_n_f32(0), 0));
    }
    static D add_d(D a, D b) { return vaddq_f64(a, b); }
    static D fma_d(D a, D b, D c) { return vfmaq_f64(c, a, b); }
    static double reduce_d(D a) { return vaddvq_f64(a); }
};

#include "simd/skeleton.inc"

}  // namespace

const Kernels kNeonKernels = kTable;

}  // namespace hnsw::simd

#endif  // __aarch64__
