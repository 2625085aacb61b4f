/* The reference of the code kernels: plain loops, one for each line of simd/code_kernels.h. */
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "simd/code_tables.h"

namespace hnsw::simd {
namespace {

float sq8_l2(const float *q, const int8_t *x, float scale, uint32_t dim) {
    float sum = 0;
    for (uint32_t i = 0; i < dim; i++) {
        float diff = q[i] - scale * x[i];
        sum += diff * diff;
    }
    return sum;
}

float sq8_ip(const float *q, const int8_t *x, uint32_t dim) {
    float sum = 0;
    for (uint32_t i = 0; i < dim; i++)
        sum += q[i] * x[i];
    return sum;
}

float sq8_l1(const float *q, const int8_t *x, float scale, uint32_t dim) {
    float sum = 0;
    for (uint32_t i = 0; i < dim; i++)
        sum += std::fabs(q[i] - scale * x[i]);
    return sum;
}

int32_t i8_dot(const int8_t *a, const int8_t *b, uint32_t dim) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < dim; i++)
        sum += a[i] * b[i];
    return sum;
}

void i8_dot_many(const int8_t *a, const int8_t *const *rows, uint32_t n, uint32_t dim,
                 int32_t *out) {
    for (uint32_t k = 0; k < n; k++)
        out[k] = i8_dot(a, rows[k], dim);
}

float i8_l1(const int8_t *a, float scale_a, const int8_t *b, float scale_b, uint32_t dim) {
    float sum = 0;
    for (uint32_t i = 0; i < dim; i++)
        sum += std::fabs(scale_a * a[i] - scale_b * b[i]);
    return sum;
}

void estimate(const EstimateArgs &args, float *out) {
    const uint8_t *code = args.codes;
    for (uint32_t i = 0; i < args.n; i++, code += args.bits / 8) {
        int32_t sum = 0;
        for (uint32_t j = 0; j < args.bits; j++)
            sum += (code[j / 8] >> (j % 8) & 1) != 0 ? args.query[j] : 0;
        float a = std::bit_cast<float>(uint32_t{args.factor_a[i]} << 16);
        float b = std::bit_cast<float>(uint32_t{args.factor_b[i]} << 16);
        out[i] = args.base + args.mul_a * a +
                 args.mul_b * b * static_cast<float>(2 * sum - args.query_sum);
    }
}

uint32_t hamming(const uint8_t *a, const uint8_t *b, uint32_t bits) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < bits / 8; i += 8) {
        uint64_t x, y;
        std::memcpy(&x, a + i, 8);
        std::memcpy(&y, b + i, 8);
        sum += static_cast<uint32_t>(std::popcount(x ^ y));
    }
    return sum;
}

EdgeSums edge_code(const int8_t *u, float scale_u, const int8_t *v, float scale_v,
                   const float *shift, uint32_t dim, uint32_t bits, uint8_t *code) {
    EdgeSums sums{};
    std::memset(code, 0, bits / 8);
    for (uint32_t i = 0; i < dim; i++) {
        float r = (scale_v * v[i] - scale_u * u[i]) + (shift != nullptr ? shift[i] : 0.0f);
        sums.r2 += r * r;
        if (i >= bits)
            continue;
        sums.abs_sum += std::fabs(r);
        bool positive = r >= 0;
        code[i / 8] = static_cast<uint8_t>(code[i / 8] | (positive ? 1u : 0u) << (i % 8));
        sums.dot_u += positive ? u[i] : -u[i];
    }
    return sums;
}

void hadamard(float *x, uint32_t n) {
    for (uint32_t half = 1; half < n; half *= 2)
        for (uint32_t block = 0; block < n; block += 2 * half)
            for (uint32_t i = block; i < block + half; i++) {
                float a = x[i];
                float b = x[i + half];
                x[i] = a + b;
                x[i + half] = a - b;
            }
}

float max_abs(const float *x, uint32_t n) {
    float largest = 0;
    for (uint32_t i = 0; i < n; i++)
        largest = std::max(largest, std::fabs(x[i]));
    return largest;
}

float sq8_encode(const float *x, float inv_scale, float scale, int8_t *out, uint32_t n) {
    float error = 0;
    for (uint32_t i = 0; i < n; i++) {
        float rounded = std::clamp(std::nearbyint(x[i] * inv_scale), -127.0f, 127.0f);
        out[i] = static_cast<int8_t>(rounded);
        float diff = x[i] - scale * rounded;
        error += diff * diff;
    }
    return error;
}

}  // namespace

const CodeKernels kCodeScalar = {sq8_l2,   sq8_ip,  sq8_l1,    i8_dot,   i8_dot_many, i8_l1,
                                 estimate, hamming, edge_code, hadamard, max_abs,     sq8_encode};

}  // namespace hnsw::simd
