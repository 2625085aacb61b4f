/*
 * Kernels over the index's own representations: 8-bit scalar-quantised vectors (SQ8) and 1-bit
 * codes of graph edges.  Numbers in, numbers out; nothing here knows pages or graphs.
 *
 * Conventions: every SQ8 vector has `dim` elements, a multiple of 64, element i standing for
 * scale * x[i].  A code is `bits` bits, a multiple of 64, bit j of byte j/8 (least significant
 * first) standing for coordinate j.  Pointers need no alignment.  No kernel reads outside its
 * inputs, allocates or fails.  The scalar table is the reference for all others; integer
 * results (codes of edges and of vectors among them) and all that leads to a rotated vector (from
 * sum_squares to max_abs below) are identical for every instruction set.  Other float results differ by summation order and fused multiply-adds
 * only: their error is at most (dim / 16 + 64) * 2^-23 of the same sum with every difference
 * replaced by the sum of its operands' magnitudes, plus dim * 2^-148 where squares fall below
 * the normal range; estimates are within 4 * 2^-23 of the sum of their terms' magnitudes.  A sum
 * beyond the range of float is infinite.
 */
#pragma once

#include <cstdint>

#include "simd/isa.h"

namespace hnsw::simd {

/* Input of CodeKernels::estimate: all coded neighbours of one record against one query. */
struct EstimateArgs {
    const uint8_t *codes;     /* n codes of bits/8 bytes, one after another */
    const uint16_t *factor_a; /* n bfloat16 values */
    const uint16_t *factor_b; /* n bfloat16 values */
    uint32_t n;               /* number of neighbours */
    uint32_t bits;            /* bits per code, multiple of 64 */
    const int8_t *query;      /* first `bits` coordinates of the query as int8 */
    int32_t query_sum;        /* sum of those coordinates */
    float base;
    float mul_a;
    float mul_b;
};

/* What edge_code computes beside the bits. r = v - u over all dim coordinates. */
struct EdgeSums {
    float r2;      /* sum of r_i^2 over dim coordinates */
    float abs_sum; /* sum of |r_i| over the first `bits` coordinates */
    float dot_u;   /* sum of sign(r_i) * scale_u * u[i] over the same, sign(0) = +1 */
};

struct CodeKernels {
    /* sum of (q[i] - scale * x[i])^2 */
    float (*sq8_l2)(const float *q, const int8_t *x, float scale, uint32_t dim);
    /* sum of q[i] * x[i], unscaled */
    float (*sq8_ip)(const float *q, const int8_t *x, uint32_t dim);
    /* sum of |q[i] - scale * x[i]| */
    float (*sq8_l1)(const float *q, const int8_t *x, float scale, uint32_t dim);

    /* sum of a[i] * b[i]; elements within -127..127 (as in every SQ8 vector and query), dim at most
     * 65,536, so no overflow */
    int32_t (*i8_dot)(const int8_t *a, const int8_t *b, uint32_t dim);
    /* out[k] = i8_dot(a, rows[k], dim) for k < n */
    void (*i8_dot_many)(const int8_t *a, const int8_t *const *rows, uint32_t n, uint32_t dim,
                        int32_t *out);
    /* sum of |scale_a * a[i] - scale_b * b[i]| */
    float (*i8_l1)(const int8_t *a, float scale_a, const int8_t *b, float scale_b, uint32_t dim);

    /* out[i] = base + mul_a * factor_a[i] + mul_b * factor_b[i] * (2 * <bits_i, query> - query_sum),
     * where <bits_i, query> sums the query coordinates whose bit is set (exact int32). */
    void (*estimate)(const EstimateArgs &args, float *out);

    /* number of differing bits */
    uint32_t (*hamming)(const uint8_t *a, const uint8_t *b, uint32_t bits);
    /* out[k] = hamming(a, codes[k], bits) for k < n */
    void (*hamming_many)(const uint8_t *a, const uint8_t *const *codes, uint32_t n, uint32_t bits,
                         uint32_t *out);

    /* The 1-bit code of the edge u -> v: r_i = (scale_v * v[i] - scale_u * u[i]) + shift[i]
     * (shift may be null = 0); bit i = r_i >= 0 for i < bits <= dim. */
    EdgeSums (*edge_code)(const int8_t *u, float scale_u, const int8_t *v, float scale_v,
                          const float *shift, uint32_t dim, uint32_t bits, uint8_t *code);

    /* sum of x[i]^2 in eight double lanes, element i in lane i % 8, which are then added one after
     * another: no finite input overflows or underflows */
    double (*sum_squares)(const float *x, uint32_t n);
    /* out[i] = x[i] * by, computed in double; zeros of either sign become +0 */
    void (*scaled)(const float *x, double by, float *out, uint32_t n);
    /* out[i] = (x[i] - y[i]) * by, computed in double */
    void (*scaled_difference)(const float *x, const float *y, double by, float *out, uint32_t n);
    /* x[i] = -x[i] where bit i % 64 of signs[i / 64] is set; n a multiple of 64 */
    void (*negate)(float *x, const uint64_t *signs, uint32_t n);
    /* In-place fast Walsh-Hadamard transform of n floats, each result times `by` (1 / sqrt(n) makes
     * it a rotation); n a power of two >= 2. */
    void (*hadamard)(float *x, float by, uint32_t n);

    /* largest |x[i]| (0 for n = 0; inputs are finite) */
    float (*max_abs)(const float *x, uint32_t n);
    /* out[i] = round-to-nearest-even(x[i] * inv_scale) clamped to -127..127; returns the sum of
     * (x[i] - scale * out[i])^2, the squared quantisation error */
    float (*sq8_encode)(const float *x, float inv_scale, float scale, int8_t *out, uint32_t n);
};

/* The table for an instruction set this machine has (see simd/isa.h); never null. */
const CodeKernels &code_kernels_for(Isa isa);

/* The table for best_isa(). */
const CodeKernels &code_kernels();

}  // namespace hnsw::simd
