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

private:
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
