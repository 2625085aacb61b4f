/* Code kernels for AVX2 with FMA.  Headers come before the target pragma, so that nothing of theirs
 * is compiled for it; see code_skeleton.inc for the loops and the meaning of V's members. */
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "simd/code_tables.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,popcnt")
#endif

namespace hnsw::simd {
namespace {

__m256i load_int(const void *p) { return _mm256_loadu_si256(static_cast<const __m256i *>(p)); }
__m128i load_half(const void *p) { return _mm_loadu_si128(static_cast<const __m128i *>(p)); }
__m128i load_quarter(const void *p) { return _mm_loadl_epi64(static_cast<const __m128i *>(p)); }

/* Set bits of each byte by a table of nibbles, summed over the 8 bytes of each 64-bit lane. */
__m256i popcount_lanes(__m256i x) {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1,
                                           2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(15);
    __m256i count = _mm256_shuffle_epi8(table, _mm256_and_si256(x, low));
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(x, 4), low);
    count = _mm256_add_epi8(count, _mm256_shuffle_epi8(table, high));
    return _mm256_sad_epu8(count, _mm256_setzero_si256());
}

struct V {
    using F = __m256;
    static constexpr size_t kLanes = 8;
    static constexpr int kBlock = 8;
    static F zero() { return _mm256_setzero_ps(); }
    static F set1(float x) { return _mm256_set1_ps(x); }
    static F load(const float *p) { return _mm256_loadu_ps(p); }
    static void store(float *p, F x) { _mm256_storeu_ps(p, x); }
    static F load_tail(const float *p, size_t n) { return _mm256_maskload_ps(p, first(n)); }
    static void store_first(float *p, F x, size_t n) {
        if (n == kLanes)
            return store(p, x);
        _mm256_maskstore_ps(p, first(n), x);
    }
    static __m256i first(size_t n) {
        return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                                  _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    }
    static F load_i8(const int8_t *p) {
        return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load_quarter(p)));
    }
    static F load_i32(const int32_t *p) { return _mm256_cvtepi32_ps(load_int(p)); }
    static F load_bf16(const uint16_t *p, size_t n) {
        if (n == kLanes)
            return widen_bf16(load_half(p));
        uint16_t lanes[kLanes] = {};
        std::memcpy(lanes, p, n * sizeof(uint16_t));
        return widen_bf16(load_half(lanes));
    }
    static F widen_bf16(__m128i x) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
    }
    static F add(F a, F b) { return _mm256_add_ps(a, b); }
    static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
    static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
    static F max(F a, F b) { return _mm256_max_ps(a, b); }
    static F min(F a, F b) { return _mm256_min_ps(a, b); }
    static F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
    static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
    static F fnma(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }
    static F product(F a, F b) {
        F x = mul(a, b);
        __asm__("" : "+x"(x)); /* gcc would fuse it */
        return x;
    }
    static float reduce(F a) {
        __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        x = _mm_add_ps(x, _mm_movehl_ps(x, x));
        return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
    }
    static float reduce_max(F a) {
        __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        x = _mm_max_ps(x, _mm_movehl_ps(x, x));
        return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
    }
    static F round_i8(F y, int8_t *out) {
        __m256i i = _mm256_cvtps_epi32(y);
        __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
        _mm_storel_epi64(reinterpret_cast<__m128i *>(out), _mm_packs_epi16(words, words));
        return _mm256_cvtepi32_ps(i);
    }
    static unsigned signs(F r) {
        return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(r, zero(), _CMP_GE_OQ)));
    }
    static F with_sign(F x, F r) {
        F negate = _mm256_and_ps(_mm256_cmp_ps(r, zero(), _CMP_NGE_UQ), _mm256_set1_ps(-0.0f));
        return _mm256_xor_ps(x, negate);
    }
    static F transform(F x) {
        x = fma(x, _mm256_setr_ps(1, -1, 1, -1, 1, -1, 1, -1), _mm256_permute_ps(x, 0xb1));
        x = fma(x, _mm256_setr_ps(1, 1, -1, -1, 1, 1, -1, -1), _mm256_permute_ps(x, 0x4e));
        return fma(x, _mm256_setr_ps(1, 1, 1, 1, -1, -1, -1, -1), _mm256_permute2f128_ps(x, x, 1));
    }
    static F flip(F x, uint32_t bits) {
        const __m256i to_sign = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24);
        __m256i signs = _mm256_sllv_epi32(_mm256_set1_epi32(static_cast<int>(bits)), to_sign);
        return _mm256_xor_ps(x, _mm256_and_ps(_mm256_castsi256_ps(signs), _mm256_set1_ps(-0.0f)));
    }

    using D = __m256d;
    static constexpr size_t kDoubleLanes = 4;
    static D zero_d() { return _mm256_setzero_pd(); }
    static D set1_d(double x) { return _mm256_set1_pd(x); }
    static D load_d(const float *p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
    static D sub_d(D a, D b) { return _mm256_sub_pd(a, b); }
    static D mul_d(D a, D b) { return _mm256_mul_pd(a, b); }
    static D fma_d(D a, D b, D c) { return _mm256_fmadd_pd(a, b, c); }
    static void store_d(float *p, D x) { _mm_storeu_ps(p, _mm256_cvtpd_ps(x)); }
    static void store_doubles(double *p, D x) { _mm256_storeu_pd(p, x); }

    using I = __m256i;
    static constexpr size_t kBytes = 32;
    using Row = __m256i;
    static I zero_i() { return _mm256_setzero_si256(); }
    static I add_i(I a, I b) { return _mm256_add_epi32(a, b); }
    static I sub_i(I a, I b) { return _mm256_sub_epi32(a, b); }
    static Row row(const int8_t *p) { return load_int(p); }
    /* |a| * (b with a's sign): a pair of products is at most 2 * 127^2, within 16 bits. */
    static I dot(I acc, Row a, const int8_t *p) {
        I pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(load_int(p), a));
        return add_i(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
    static I bias(I acc, Row) { return acc; }
    static int32_t reduce_i(I a) {
        __m128i x = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
        x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0x4e));
        return _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32(x, 0xb1)));
    }
    /* Lane l of the result: element j is the sum of lane l of a[j]. */
    static I lane_sums(const I *a) {
        return _mm256_hadd_epi32(_mm256_hadd_epi32(a[0], a[1]), _mm256_hadd_epi32(a[2], a[3]));
    }
    static void reduce4_i(const I *a, int32_t *out) {
        I x = lane_sums(a);
        _mm_storeu_si128(reinterpret_cast<__m128i *>(out),
                         _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)));
    }

    static constexpr int kNeighbours = 2;
    using C = __m256i;
    using S = __m256i; /* 16-bit sums */
    static C codes(const uint8_t *const *rows, size_t offset) {
        return _mm256_inserti128_si256(_mm256_castsi128_si256(load_half(rows[0] + offset)),
                                       load_half(rows[1] + offset), 1);
    }
    static C codes8(const uint8_t *const *rows, size_t offset) {
        return _mm256_inserti128_si256(_mm256_castsi128_si256(load_quarter(rows[0] + offset)),
                                       load_quarter(rows[1] + offset), 1);
    }
    static void spread(const int8_t *q, int8_t *out) {
        /* Within 16 coordinates, pairs (k, 8 + k); then an 8 x 8 transposition of the pairs. */
        const __m256i pairs = _mm256_broadcastsi128_si256(
            _mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15));
        __m256i x0 = _mm256_shuffle_epi8(load_int(q), pairs);
        __m256i x1 = _mm256_shuffle_epi8(load_int(q + 32), pairs);
        __m256i x2 = _mm256_shuffle_epi8(load_int(q + 64), pairs);
        __m256i x3 = _mm256_shuffle_epi8(load_int(q + 96), pairs);
        __m256i a = _mm256_permute2x128_si256(x0, x2, 0x20);
        __m256i b = _mm256_permute2x128_si256(x0, x2, 0x31);
        __m256i c = _mm256_permute2x128_si256(x1, x3, 0x20);
        __m256i d = _mm256_permute2x128_si256(x1, x3, 0x31);
        __m256i ab_low = _mm256_unpacklo_epi16(a, b), ab_high = _mm256_unpackhi_epi16(a, b);
        __m256i cd_low = _mm256_unpacklo_epi16(c, d), cd_high = _mm256_unpackhi_epi16(c, d);
        store_spread(out, _mm256_unpacklo_epi32(ab_low, cd_low));
        store_spread(out + 32, _mm256_unpackhi_epi32(ab_low, cd_low));
        store_spread(out + 64, _mm256_unpacklo_epi32(ab_high, cd_high));
        store_spread(out + 96, _mm256_unpackhi_epi32(ab_high, cd_high));
    }
    static void store_spread(int8_t *out, __m256i x) {
        _mm256_store_si256(reinterpret_cast<__m256i *>(out), _mm256_permute4x64_epi64(x, 0xd8));
    }
    static S zero_s() { return _mm256_setzero_si256(); }
    template <int k>
    static S bits(S acc, C code, const int8_t *q) {
        __m256i ones = _mm256_and_si256(_mm256_srli_epi16(code, k), _mm256_set1_epi8(1));
        __m256i query = _mm256_broadcastsi128_si256(load_half(q));
        return _mm256_add_epi16(acc, _mm256_maddubs_epi16(ones, query));
    }
    static void store_sums(const S *acc, int32_t *out) {
        const __m256i one = _mm256_set1_epi16(1);
        I wide[4] = {_mm256_madd_epi16(acc[0], one), _mm256_madd_epi16(acc[1], one),
                     _mm256_madd_epi16(acc[2], one), _mm256_madd_epi16(acc[3], one)};
        const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(out),
                            _mm256_permutevar8x32_epi32(lane_sums(wide), order));
    }

    static uint32_t hamming(const uint8_t *a, const uint8_t *b, uint32_t bits) {
        __m256i sum = _mm256_setzero_si256();
        const size_t bytes = bits / 8;
        size_t i = 0;
        for (; i + 32 <= bytes; i += 32) {
            __m256i x = _mm256_xor_si256(load_int(a + i), load_int(b + i));
            sum = _mm256_add_epi64(sum, popcount_lanes(x));
        }
        uint64_t count = 0;
        for (; i < bytes; i += 8) {
            uint64_t x, y;
            std::memcpy(&x, a + i, 8);
            std::memcpy(&y, b + i, 8);
            count += static_cast<uint64_t>(__builtin_popcountll(x ^ y));
        }
        /* The totals of four 64-bit lanes fit in their low halves. */
        return static_cast<uint32_t>(count) + static_cast<uint32_t>(reduce_i(sum));
    }
};

#include "simd/code_skeleton.inc"

}  // namespace

const CodeKernels kAvx2CodeKernels = kTable;

}  // namespace hnsw::simd

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif /* __x86_64__ */
