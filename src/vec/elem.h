// The dense element types, one row each: everything the code shared by the types (vec/dense.h,
// pg/type_common.h) needs to know about one. A new dense type is a new row here.
//
// A row has: Element, the stored type; kName, the SQL type; kMaxDims; widen(Element) and
// narrow(float), exact where the value is in range, else infinite; and the kernels over Elements.
#pragma once

#include <cstdint>

#include "simd/kernels.h"

namespace hnsw::vec {

// SQL type vector: IEEE single precision.
struct F32 {
    using Element = float;
    static constexpr const char *kName = "vector";
    static constexpr uint32_t kMaxDims = 16000;

    static float widen(Element x) { return x; }
    static Element narrow(float x) { return x; }

    static float l2_squared(const Element *a, const Element *b, uint32_t n) {
        return simd::kernels().l2_squared(a, b, n);
    }
    static float inner_product(const Element *a, const Element *b, uint32_t n) {
        return simd::kernels().inner_product(a, b, n);
    }
    static float l1(const Element *a, const Element *b, uint32_t n) {
        return simd::kernels().l1(a, b, n);
    }
    static simd::CosineSums cosine(const Element *a, const Element *b, uint32_t n) {
        return simd::kernels().cosine(a, b, n);
    }
    static double norm_squared(const Element *a, uint32_t n) {
        return simd::kernels().norm_squared(a, n);
    }
};

}  // namespace hnsw::vec
