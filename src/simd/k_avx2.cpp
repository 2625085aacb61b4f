// Float kernels for AVX2 and FMA. Standard and intrinsic headers come before the target pragma, so
// that no inline function of theirs is compiled for AVX2 and then picked by the linker for all.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "simd/kernel_tables.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

namespace hnsw::simd {
namespace {

struct V {
    using F = __m256;
    static constexpr size_t kLanes = 8;
    static F zero() { return _mm256_setzero_ps(); }
    static F load(const float *p) { return _mm256_loadu_ps(p); }
    static F load_tail(const float *p, size_t n) { return _mm256_maskload_ps(p, first_lanes(n)); }
    static F add(F a, F b) { return _mm256_add_ps(a, b); }
    static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
    static F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
    static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
    static float reduce(F a) {
        __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        s = _mm_add_ps(s, _mm_movehl_ps(s, s));
        return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
    }
    static void store_reversed(const std::byte *in, float *out) {
        const __m256i order = _mm256_broadcastsi128_si256(
            _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
        __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(in));
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(out), _mm256_shuffle_epi8(x, order));
    }

    using D = __m256d;
    static constexpr size_t kDoubleLanes = 4;
    static D zero_d() { return _mm256_setzero_pd(); }
    static D load_d(const float *p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
    static D load_tail_d(const float *p, size_t n) {
        return _mm256_cvtps_pd(_mm_maskload_ps(p, _mm256_castsi256_si128(first_lanes(n))));
    }
    static D add_d(D a, D b) { return _mm256_add_pd(a, b); }
    static D fma_d(D a, D b, D c) { return _mm256_fmadd_pd(a, b, c); }
    static double reduce_d(D a) {
        __m128d s = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
        return _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)));
    }

private:
    // A mask of the first n of 8 lanes, read from a window sliding over ones and zeros.
    static __m256i first_lanes(size_t n) {
        static const int32_t kWindow[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
        return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(kWindow + 8 - n));
    }
};

#include "simd/skeleton.inc"

}  // namespace

const Kernels kAvx2Kernels = kTable;

}  // namespace hnsw::simd

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // __x86_64__
