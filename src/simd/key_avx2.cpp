/* Key kernels for AVX2. Headers before the target pragma: see k_avx2.cpp. */
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstdint>

#include "simd/key_tables.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif

namespace hnsw::simd {
namespace {

struct V {
    struct Keys {
        __m256i low;
        __m256i high;
    };
    using Key = __m256i;
    static Keys load(const uint64_t *p) {
        return {_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)),
                _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p + 4))};
    }
    static Key all(uint64_t key) { return _mm256_set1_epi64x(static_cast<long long>(key)); }
    static uint32_t in_range(const Keys &k, Key low, Key width) {
        return ~mask_of(beyond(k.low, low, width), beyond(k.high, low, width)) & 0xFF;
    }
    static uint32_t equal(const Keys &k, Key key) {
        return mask_of(_mm256_cmpeq_epi64(k.low, key), _mm256_cmpeq_epi64(k.high, key));
    }
    static uint32_t has_bits(const Keys &k, Key key) {
        return mask_of(_mm256_cmpeq_epi64(_mm256_and_si256(k.low, key), key),
                       _mm256_cmpeq_epi64(_mm256_and_si256(k.high, key), key));
    }
    static uint32_t flags(const uint16_t *p, uint16_t mask, uint16_t value) {
        const __m128i f = _mm_loadu_si128(reinterpret_cast<const __m128i *>(p));
        const __m128i met =
            _mm_cmpeq_epi16(_mm_and_si128(f, _mm_set1_epi16(static_cast<short>(mask))),
                            _mm_set1_epi16(static_cast<short>(value)));
        return static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(met, _mm_setzero_si128())));
    }
    static uint32_t rows(const uint8_t *p, const RowBits &set) {
        /* Two places from each 16 bytes, their blocks first; the last two from four bytes on. */
        const __m256i low = _mm256_loadu2_m128i(reinterpret_cast<const __m128i *>(p + 12),
                                                reinterpret_cast<const __m128i *>(p));
        const __m256i high = _mm256_loadu2_m128i(reinterpret_cast<const __m128i *>(p + 32),
                                                 reinterpret_cast<const __m128i *>(p + 24));
        const __m256i two =
            _mm256_setr_epi8(0, 1, 2, 3, 6, 7, 8, 9, 4, 5, -1, -1, 10, 11, -1, -1,  //
                             0, 1, 2, 3, 6, 7, 8, 9, 4, 5, -1, -1, 10, 11, -1, -1);
        const __m256i late =
            _mm256_setr_epi8(0, 1, 2, 3, 6, 7, 8, 9, 4, 5, -1, -1, 10, 11, -1, -1,  //
                             4, 5, 6, 7, 10, 11, 12, 13, 8, 9, -1, -1, 14, 15, -1, -1);
        const __m256i first = _mm256_shuffle_epi8(low, two);
        const __m256i last = _mm256_shuffle_epi8(high, late);
        const __m256i block = _mm256_unpacklo_epi64(first, last);
        const __m256i offset = _mm256_and_si256(_mm256_unpackhi_epi64(first, last), all32(0x7FFF));
        const __m256i inside = _mm256_and_si256(
            _mm256_cmpeq_epi32(block, _mm256_min_epu32(block, all32(set.blocks - 1))),
            _mm256_cmpgt_epi32(all32(set.stride * 64), offset));
        /* In halves of words. */
        const __m256i at = _mm256_add_epi32(_mm256_mullo_epi32(block, all32(set.stride * 2)),
                                            _mm256_srli_epi32(offset, 5));
        const __m256i found = _mm256_mask_i32gather_epi32(
            _mm256_setzero_si256(), reinterpret_cast<const int *>(set.words), at, inside, 4);
        /* The bit of each offset becomes the sign. */
        const __m256i up = _mm256_sub_epi32(all32(31), _mm256_and_si256(offset, all32(31)));
        const __m256i signs = _mm256_sllv_epi32(found, up);
        /* So far 0 1 4 5 2 3 6 7. */
        const __m256i in_order = _mm256_permute4x64_epi64(signs, 0xD8);
        return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(in_order)));
    }

private:
    static __m256i all32(uint32_t number) { return _mm256_set1_epi32(static_cast<int>(number)); }
    /* key - low > width. There is only a signed comparison: both sides move by half of the range. */
    static Key beyond(Key key, Key low, Key width) {
        const Key half = _mm256_set1_epi64x(INT64_MIN);
        return _mm256_cmpgt_epi64(_mm256_xor_si256(_mm256_sub_epi64(key, low), half),
                                  _mm256_xor_si256(width, half));
    }
    static uint32_t mask_of(Key low, Key high) {
        const int four = _mm256_movemask_pd(_mm256_castsi256_pd(low));
        return static_cast<uint32_t>(four | _mm256_movemask_pd(_mm256_castsi256_pd(high)) << 4);
    }
};

#include "simd/key_skeleton.inc"

}  // namespace

const KeyKernels kAvx2KeyKernels = kTable;

}  // namespace hnsw::simd

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // __x86_64__
