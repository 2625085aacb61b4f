/*
 * The code kernels in portable C++: what the other instruction sets are tested against and what a
 * machine without any of them runs.  Sums of floats use eight partial sums, so that their
 * rounding error stays within the bound that simd/code_kernels.h states.
 */
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>

#include "simd/code_tables.h"

namespace hnsw::simd {
namespace {

/* x, computed: keeps the compiler from contracting the product x into a fused multiply-add, so
 * that the sign of a difference of products is the same on every machine. */
float rounded(float x) {
#if defined(__x86_64__)
    __asm__("" : "+x"(x));
#elif defined(__aarch64__)
    __asm__("" : "+w"(x));
#else
    __asm__("" : "+m"(x));
#endif
    return x;
}

constexpr uint32_t kPartials = 8;
constexpr uint32_t kDoubleSums = 8;

float total(const float *part) {
    return ((part[0] + part[1]) + (part[2] + part[3])) +
           ((part[4] + part[5]) + (part[6] + part[7]));
}

float sq8_l2(const float *q, const int8_t *x, float scale, uint32_t dim) {
    float sum[kPartials] = {};
    for (uint32_t i = 0; i < dim; i++) {
        float d = q[i] - scale * x[i];
        sum[i % kPartials] += d * d;
    }
    return total(sum);
}

float sq8_ip(const float *q, const int8_t *x, uint32_t dim) {
    float sum[kPartials] = {};
    for (uint32_t i = 0; i < dim; i++)
        sum[i % kPartials] += q[i] * x[i];
    return total(sum);
}

float sq8_l1(const float *q, const int8_t *x, float scale, uint32_t dim) {
    float sum[kPartials] = {};
    for (uint32_t i = 0; i < dim; i++)
        sum[i % kPartials] += std::fabs(q[i] - scale * x[i]);
    return total(sum);
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
    float sum[kPartials] = {};
    for (uint32_t i = 0; i < dim; i++)
        sum[i % kPartials] += std::fabs(rounded(scale_a * a[i]) - rounded(scale_b * b[i]));
    return total(sum);
}

float from_bf16(uint16_t x) { return std::bit_cast<float>(uint32_t{x} << 16); }

void estimate(const EstimateArgs &args, float *out) {
    for (uint32_t k = 0; k < args.n; k++) {
        const uint8_t *code = args.codes + static_cast<size_t>(k) * (args.bits / 8);
        int32_t dot = 0;
        for (uint32_t i = 0; i < args.bits; i++)
            dot += args.query[i] * (code[i / 8] >> (i % 8) & 1);
        float constant = args.base + args.mul_a * from_bf16(args.factor_a[k]);
        float slope = args.mul_b * from_bf16(args.factor_b[k]);
        out[k] = constant + slope * static_cast<float>(2 * dot - args.query_sum);
    }
}

uint32_t hamming(const uint8_t *a, const uint8_t *b, uint32_t bits) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < bits / 8; i += 8) {
        uint64_t x, y;
        std::memcpy(&x, a + i, 8);
        std::memcpy(&y, b + i, 8);
        count += static_cast<uint32_t>(std::popcount(x ^ y));
    }
    return count;
}

void hamming_many(const uint8_t *a, const uint8_t *const *codes, uint32_t n, uint32_t bits,
                  uint32_t *out) {
    for (uint32_t k = 0; k < n; k++)
        out[k] = hamming(a, codes[k], bits);
}

EdgeSums edge_code(const int8_t *u, float scale_u, const int8_t *v, float scale_v,
                   const float *shift, uint32_t dim, uint32_t bits, uint8_t *code) {
    float square[kPartials] = {}, magnitude[kPartials] = {};
    int32_t dot = 0;
    std::memset(code, 0, bits / 8);
    for (uint32_t i = 0; i < dim; i++) {
        float r = rounded(scale_v * v[i]) - rounded(scale_u * u[i]);
        if (shift != nullptr)
            r += shift[i];
        square[i % kPartials] += r * r;
        if (i >= bits)
            continue;
        magnitude[i % kPartials] += std::fabs(r);
        dot += r >= 0 ? u[i] : -u[i];
        code[i / 8] |= static_cast<uint8_t>((r >= 0) << (i % 8));
    }
    return {total(square), total(magnitude), scale_u * static_cast<float>(dot)};
}

/* The square of a float is exact in double, so that it makes no difference whether it is fused with
 * the addition. */
double sum_squares(const float *x, uint32_t n) {
    double sum[kDoubleSums] = {};
    for (uint32_t i = 0; i < n; i++)
        sum[i % kDoubleSums] += double{x[i]} * x[i];
    return std::accumulate(sum, sum + kDoubleSums, 0.0);
}

void scaled(const float *x, double by, float *out, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        out[i] = static_cast<float>(x[i] * by + 0.0);
}

void scaled_difference(const float *x, const float *y, double by, float *out, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        out[i] = static_cast<float>((double{x[i]} - y[i]) * by);
}

void negate(float *x, const uint64_t *signs, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t sign = static_cast<uint32_t>(signs[i / 64] >> (i % 64)) << 31;
        x[i] = std::bit_cast<float>(std::bit_cast<uint32_t>(x[i]) ^ sign);
    }
}

void hadamard(float *x, float by, uint32_t n) {
    for (uint32_t h = 1; h < n; h *= 2) {
        for (uint32_t i = 0; i < n; i += 2 * h) {
            for (uint32_t j = i; j < i + h; j++) {
                float a = x[j], b = x[j + h];
                x[j] = a + b;
                x[j + h] = a - b;
            }
        }
    }
    for (uint32_t i = 0; i < n; i++)
        x[i] *= by;
}

float max_abs(const float *x, uint32_t n) {
    float most = 0;
    for (uint32_t i = 0; i < n; i++)
        most = std::fabs(x[i]) > most ? std::fabs(x[i]) : most;
    return most;
}

float sq8_encode(const float *x, float inv_scale, float scale, int8_t *out, uint32_t n) {
    /* Adding 1.5 * 2^23 leaves no bits below the unit: rounds as the addition does, to even. */
    constexpr float kMagic = 12582912.0f;
    float sum[kPartials] = {};
    for (uint32_t i = 0; i < n; i++) {
        float y = rounded(x[i] * inv_scale);
        y = y > -127.0f ? y : -127.0f;
        y = y < 127.0f ? y : 127.0f;
        float integer = rounded(y + kMagic) - kMagic;
        out[i] = static_cast<int8_t>(integer);
        float error = x[i] - scale * integer;
        sum[i % kPartials] += error * error;
    }
    return total(sum);
}

}  // namespace

const CodeKernels kScalarCodeKernels = {
    .sq8_l2 = sq8_l2,
    .sq8_ip = sq8_ip,
    .sq8_l1 = sq8_l1,
    .i8_dot = i8_dot,
    .i8_dot_many = i8_dot_many,
    .i8_l1 = i8_l1,
    .estimate = estimate,
    .hamming = hamming,
    .hamming_many = hamming_many,
    .edge_code = edge_code,
    .sum_squares = sum_squares,
    .scaled = scaled,
    .scaled_difference = scaled_difference,
    .negate = negate,
    .hadamard = hadamard,
    .max_abs = max_abs,
    .sq8_encode = sq8_encode,
};

}  // namespace hnsw::simd
