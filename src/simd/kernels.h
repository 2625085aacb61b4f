// Kernels over float vectors: the distances the SQL operators compute. Numbers in, number out.
//
// Conventions: n may be 0; pointers need no alignment; nothing outside the n elements is read;
// nothing allocates or fails. Sums are made in float lanes, so a sum beyond the range of float is
// infinite. The order of summation is fixed for each instruction set. The scalar table is the
// reference: where the sum of the terms' magnitudes S is finite, every table's result lies within
// (n / 4 + 16) * 2^-23 * S of the exact value, plus n * 2^-149 for products that underflow. A NaN
// among the terms makes the result NaN.
#pragma once

#include <cstdint>

#include "simd/isa.h"

namespace hnsw::simd {

// What a cosine needs, in one pass over both vectors.
struct CosineSums {
    float dot;  // sum of a[i] * b[i]
    float aa;   // sum of a[i] ^ 2
    float bb;   // sum of b[i] ^ 2
};

struct Kernels {
    // sum of (a[i] - b[i]) ^ 2
    float (*l2_squared)(const float *a, const float *b, uint32_t n);
    // sum of a[i] * b[i]
    float (*inner_product)(const float *a, const float *b, uint32_t n);
    // sum of |a[i] - b[i]|
    float (*l1)(const float *a, const float *b, uint32_t n);
    CosineSums (*cosine)(const float *a, const float *b, uint32_t n);
    // Sum of a[i] ^ 2 in double lanes: no finite input overflows or underflows. Within
    // (n / 4 + 16) * 2^-52 of the exact value, relatively.
    double (*norm_squared)(const float *a, uint32_t n);
    // out[i] = the float whose bytes stand at in + 4 * i in reverse order, whatever they are
    void (*reversed_bytes)(const void *in, float *out, uint32_t n);
};

// The table for an instruction set this machine has; the scalar one for any other.
const Kernels &kernels_for(Isa isa);

// The table for best_isa().
const Kernels &kernels();

}  // namespace hnsw::simd
