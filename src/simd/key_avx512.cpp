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
