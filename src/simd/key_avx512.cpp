/* Key kernels for AVX-512 (F, BW, DQ, VL). Headers before the target pragma: see k_avx2.cpp. */
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstdint>

#include "simd/key_tables.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,avx512f,avx512bw,avx512dq,avx512vl")
// gcc 12's own intrinsics read a vector they leave undefined on purpose.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace hnsw::simd {
namespace {

struct V {
    using Keys = __m512i;
    using Key = __m512i;
    static Keys load(const uint64_t *p) { return _mm512_loadu_si512(p); }
    static Key all(uint64_t key) { return _mm512_set1_epi64(static_cast<long long>(key)); }
    static uint32_t in_range(Keys k, Key low, Key width) {
        return _mm512_cmple_epu64_mask(_mm512_sub_epi64(k, low), width);
    }
    static uint32_t equal(Keys k, Key key) { return _mm512_cmpeq_epi64_mask(k, key); }
    static uint32_t has_bits(Keys k, Key key) {
        return _mm512_cmpeq_epi64_mask(_mm512_and_si512(k, key), key);
    }
    static uint32_t flags(const uint16_t *p, uint16_t mask, uint16_t value) {
        const __m128i f = _mm_loadu_si128(reinterpret_cast<const __m128i *>(p));
        return _mm_cmpeq_epi16_mask(_mm_and_si128(f, _mm_set1_epi16(static_cast<short>(mask))),
                                    _mm_set1_epi16(static_cast<short>(value)));
    }
    static uint32_t rows(const uint8_t *p, const RowBits &set) {
        /* Of each three 16-bit words the first two to the lower half, the third to the upper one. */
        const __m512i order =
            _mm512_set_epi16(23, 23, 20, 20, 17, 17, 14, 14, 11, 11, 8, 8, 5, 5, 2, 2,  //
                             22, 21, 19, 18, 16, 15, 13, 12, 10, 9, 7, 6, 4, 3, 1, 0);
        const __m512i sorted =
            _mm512_permutexvar_epi16(order, _mm512_maskz_loadu_epi16(0xFFFFFF, p));
        const __m256i block = _mm512_castsi512_si256(sorted);
        const __m256i offset =
            _mm256_and_si256(_mm512_extracti64x4_epi64(sorted, 1), all32(0x7FFF));
        const __mmask8 inside = _mm256_mask_cmplt_epu32_mask(
            _mm256_cmplt_epu32_mask(offset, all32(set.stride * 64)), block, all32(set.blocks));
        /* In halves of words. */
        const __m256i at = _mm256_add_epi32(_mm256_mullo_epi32(block, all32(set.stride * 2)),
                                            _mm256_srli_epi32(offset, 5));
        const __m256i found =
            _mm256_mmask_i32gather_epi32(_mm256_setzero_si256(), inside, at, set.words, 4);
        const __m256i bit =
            _mm256_sllv_epi32(_mm256_set1_epi32(1), _mm256_and_si256(offset, all32(31)));
        return _mm256_test_epi32_mask(found, bit);
    }

private:
    static __m256i all32(uint32_t number) { return _mm256_set1_epi32(static_cast<int>(number)); }
};

#include "simd/key_skeleton.inc"

}  // namespace

const KeyKernels kAvx512KeyKernels = kTable;

}  // namespace hnsw::simd

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // __x86_64__
