// Float kernels for AVX-512 (F, BW, DQ, VL). Headers before the target pragma: see k_avx2.cpp.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "simd/kernel_tables.h"

#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
// gcc 12's own _mm512_reduce_* read a vector they leave undefined on purpose.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace hnsw::simd {
namespace {

struct V {
    using F = __m512;
    static constexpr size_t kLanes = 16;
    static F zero() { return _mm512_setzero_ps(); }
    static F load(const float *p) { return _mm512_loadu_ps(p); }
    static F load_tail(const float *p, size_t n) {
        return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
    }
    static F add(F a, F b) { return _mm512_add_ps(a, b); }
    static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
    static F abs(F a) { return _mm512_abs_ps(a); }
    static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
    static float reduce(F a) { return _mm512_reduce_add_ps(a); }
    static void store_reversed(const std::byte *in, float *out) {
        const __m512i order = _mm512_broadcast_i32x4(
            _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
        _mm512_storeu_si512(out, _mm512_shuffle_epi8(_mm512_loadu_si512(in), order));
    }

    using D = __m512d;
    static constexpr size_t kDoubleLanes = 8;
    static D zero_d() { return _mm512_setzero_pd(); }
    static D load_d(const float *p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
    static D load_tail_d(const float *p, size_t n) {
        return _mm512_cvtps_pd(_mm256_maskz_loadu_ps(static_cast<__mmask8>((1u << n) - 1), p));
    }
    static D add_d(D a, D b) { return _mm512_add_pd(a, b); }
    static D fma_d(D a, D b, D c) { return _mm512_fmadd_pd(a, b, c); }
    static double reduce_d(D a) { return _mm512_reduce_add_pd(a); }
};

#include "simd/skeleton.inc"

}  // namespace

const Kernels kAvx512Kernels = kTable;

}  // namespace hnsw::simd

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // __x86_64__
