/* Code kernels for AVX-512 with VNNI, VPOPCNTDQ and GFNI.  Headers come before the target pragma, so
 * that nothing of theirs is compiled for it; see code_skeleton.inc for the meaning of V's members. */
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "simd/code_tables.h"

#if defined(__clang__)
#pragma clang attribute push(                                                                    \
    __attribute__((target(                                                                       \
        "avx2,fma,popcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vpopcntdq,gfni"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target( \
    "avx2,fma,popcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vpopcntdq,gfni")
// gcc 12's own intrinsics read a vector they leave undefined on purpose.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace hnsw::simd {
namespace {

#include "simd/code_avx512.inc"

struct V : Base {
    /* The instruction multiplies unsigned by signed bytes, so dot() takes p + 128. */
    using Row = __m512i;
    static __m512i top_bits() { return _mm512_set1_epi8(-128); }
    static Row row(const int8_t *p) { return load_int(p); }
    static I dot(I acc, Row a, const int8_t *p) {
        return _mm512_dpbusd_epi32(acc, _mm512_xor_si512(load_int(p), top_bits()), a);
    }
    static I bias(I acc, Row a) { return _mm512_dpbusd_epi32(acc, top_bits(), a); }

    /* S holds 32-bit sums.  The bit matrix moves bit k of each byte to bit 0 and clears the rest. */
    template <int k>
    static S bits(S acc, C code, const int8_t *q) {
        const __m512i matrix = _mm512_set1_epi64(static_cast<long long>(uint64_t{1} << (56 + k)));
        __m512i ones = _mm512_gf2p8affine_epi64_epi8(code, matrix, 0);
        return _mm512_dpbusd_epi32(acc, ones, query_lanes(q));
    }
    static void store_sums(const S *acc, int32_t *out) { store_lane_sums(acc, out); }

    static uint32_t hamming(const uint8_t *a, const uint8_t *b, uint32_t bits) {
        __m512i sum = zero_i();
        const size_t bytes = bits / 8;
        size_t i = 0;
        for (; i + 64 <= bytes; i += 64) {
            __m512i x = _mm512_xor_si512(load_int(a + i), load_int(b + i));
            sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(x));
        }
        if (i < bytes) {
            auto mask = static_cast<__mmask8>((1u << (bytes - i) / 8) - 1);
            __m512i x = _mm512_xor_si512(_mm512_maskz_loadu_epi64(mask, a + i),
                                         _mm512_maskz_loadu_epi64(mask, b + i));
            sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(x));
        }
        /* The totals of the 64-bit lanes fit in their low halves. */
        return static_cast<uint32_t>(reduce_i(sum));
    }
};

#include "simd/code_skeleton.inc"

}  // namespace

const CodeKernels kAvx512VnniCodeKernels = kTable;

}  // namespace hnsw::simd

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif /* __x86_64__ */
