/* Vectors from files and their distances: what the server-free benchmarks share. */
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "core/meta.h"
#include "simd/kernels.h"

namespace hnsw::bench {

[[noreturn]] inline void die(const std::string &message) {
    std::fprintf(stderr, "%s\n", message.c_str());
    std::exit(1);
}

struct Matrix {
    uint32_t dim = 0;
    std::vector<float> values;
    size_t rows() const { return dim == 0 ? 0 : values.size() / dim; }
    const float *row(size_t i) const { return &values[i * dim]; }
};

inline float half_to_float(uint16_t h) {
    uint32_t exponent = (h >> 10) & 31;
    uint32_t mantissa = h & 0x3FF;
    float magnitude = exponent == 0    ? std::ldexp(static_cast<float>(mantissa), -24)
                      : exponent == 31 ? INFINITY
                                       : std::ldexp(static_cast<float>(mantissa | 0x400),
                                                    static_cast<int>(exponent) - 25);
    return (h & 0x8000) != 0 ? -magnitude : magnitude;
}

/* All rows of `stem`.fvecs, .hvecs or .bvecs, at most `most`. */
inline Matrix read_vectors(const std::string &stem, size_t most) {
    for (const char *suffix : {".fvecs", ".hvecs", ".bvecs"}) {
        std::ifstream in(stem + suffix, std::ios::binary);
        if (!in)
            continue;
        Matrix m;
        const size_t bytes = suffix[1] == 'f' ? 4 : suffix[1] == 'h' ? 2 : 1;
        std::vector<char> row;
        for (int32_t dim; m.rows() < most && in.read(reinterpret_cast<char *>(&dim), 4);) {
            m.dim = static_cast<uint32_t>(dim);
            row.resize(m.dim * bytes);
            if (!in.read(row.data(), static_cast<std::streamsize>(row.size())))
                die(stem + suffix + " ends within a row");
            for (uint32_t i = 0; i < m.dim; i++) {
                if (bytes == 4) {
                    float f;
                    std::memcpy(&f, &row[i * 4], 4);
                    m.values.push_back(f);
                } else if (bytes == 2) {
                    uint16_t h;
                    std::memcpy(&h, &row[i * 2], 2);
                    m.values.push_back(half_to_float(h));
                } else {
                    m.values.push_back(static_cast<uint8_t>(row[i]));
                }
            }
        }
        return m;
    }
    die("no vectors at " + stem);
}

/* The operator's result, with the kernels the operator uses. */
inline double distance(core::Metric metric, const float *a, const float *b, uint32_t dim) {
    const simd::Kernels &kernels = simd::kernels();
    switch (metric) {
        case core::Metric::kCosine: {
            const simd::CosineSums sums = kernels.cosine(a, b, dim);
            return 1 - sums.dot / std::sqrt(double{sums.aa} * sums.bb);
        }
        case core::Metric::kInnerProduct:
            return -kernels.inner_product(a, b, dim);
        case core::Metric::kL1:
            return kernels.l1(a, b, dim);
        case core::Metric::kL2:
            break;
    }
    return std::sqrt(double{kernels.l2_squared(a, b, dim)});
}

/* Heap rows that stand for row numbers. */
inline core::HeapTid tid_of(size_t row) {
    return {static_cast<uint32_t>(row / 100), static_cast<uint16_t>(row % 100 + 1)};
}
inline size_t row_of(core::HeapTid tid) { return size_t{tid.block} * 100 + tid.offset - 1; }

}  // namespace hnsw::bench
