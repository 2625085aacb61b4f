/* Code kernels for AVX-512 without its dot products.  Headers come before the target pragma, so
 * that nothing of theirs is compiled for it; see code_skeleton.inc for the meaning of V's members. */
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "simd/code_tables.h"

#if defined(__clang__)
#pragma clang attribute push(                                                      \
    __attribute__((target("avx2,fma,popcnt,avx512f,avx512bw,avx512dq,avx512vl"))), \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,popcnt,avx512f,avx512bw,avx512dq,avx512vl")
// gcc 12's own intrinsics read a vector they leave undefined on purpose.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace hnsw::simd {
namespace {

#include "simd/code_avx512.inc"

/* Set bits of each byte by a table of nibbles, summed over the 8 bytes of each 64-bit lane. */
__m512i popcount_lanes(__m512i x) {
    const __m512i table =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m512i low = _mm512_set1_epi8(15);
    __m512i count = _mm512_shuffle_epi8(table, _mm512_and_si512(x, low));
    __m512i high = _mm512_and_si512(_mm512_srli_epi16(x, 4), low);
    count = _mm512_add_epi8(count, _mm512_shuffle_epi8(table, high));
    return _mm512_sad_epu8(count, _mm512_setzero_si512());
}

struct V : Base {
    using Row = __m512i;
    static Row row(const int8_t *p) { return load_int(p); }
    /* |a| * (b with a's sign): a pair of products is at most 2 * 127^2, within 16 bits. */
    static I dot(I acc, Row a, const int8_t *p) {
        I b = load_int(p);
        I turned = _mm512_mask_sub_epi8(b, _mm512_movepi8_mask(a), zero_i(), b);
        I sums = _mm512_maddubs_epi16(_mm512_abs_epi8(a), turned);
        return add_i(acc, _mm512_madd_epi16(sums, _mm512_set1_epi16(1)));
    }
    static I bias(I acc, Row) { return acc; }

    /* S holds 16-bit sums. */
    template <int k>
    static S bits(S acc, C code, const int8_t *q) {
        __m512i ones = _mm512_and_si512(_mm512_srli_epi16(code, k), _mm512_set1_epi8(1));
        return _mm512_add_epi16(acc, _mm512_maddubs_epi16(ones, query_lanes(q)));
    }
    static void store_sums(const S *acc, int32_t *out) {
        const __m512i one = _mm512_set1_epi16(1);
        I wide[4] = {_mm512_madd_epi16(acc[0], one), _mm512_madd_epi16(acc[1], one),
                     _mm512_madd_epi16(acc[2], one), _mm512_madd_epi16(acc[3], one)};
        store_lane_sums(wide, out);
    }

    static uint32_t hamming(const uint8_t *a, const uint8_t *b, uint32_t bits) {
        __m512i sum = zero_i();
        const size_t bytes = bits / 8;
        size_t i = 0;
        for (; i + 64 <= bytes; i += 64) {
            __m512i x = _mm512_xor_si512(load_int(a + i), load_int(b + i));
            sum = _mm512_add_epi64(sum, popcount_lanes(x));
        }
        uint64_t count = 0;
        for (; i < bytes; i += 8) {
            uint64_t x, y;
            std::memcpy(&x, a + i, 8);
            std::memcpy(&y, b + i, 8);
            count += static_cast<uint64_t>(__builtin_popcountll(x ^ y));
        }
        /* The totals of the 64-bit lanes fit in their low halves. */
        return static_cast<uint32_t>(count) + static_cast<uint32_t>(reduce_i(sum));
    }
};

#include "simd/code_skeleton.inc"

}  // namespace

const CodeKernels kAvx512CodeKernels = kTable;

}  // namespace hnsw::simd

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif /* __x86_64__ */
