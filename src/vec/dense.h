// What the SQL functions of the dense types compute, over views. Callers have made sure that both
// operands have the same dimensions where two are taken (compare apart), and that elements are
// finite. Range errors are return values: SQL errors are the caller's business.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "vec/elem.h"
#include "vec/views.h"

namespace hnsw::vec {

enum class Range { kOk, kOverflow, kUnderflow };

template <typename E>
double l2_squared_distance(View<E> a, View<E> b) {
    return E::l2_squared(a.data, b.data, a.dim);
}

template <typename E>
double l2_distance(View<E> a, View<E> b) {
    return std::sqrt(l2_squared_distance(a, b));
}

template <typename E>
double inner_product(View<E> a, View<E> b) {
    return E::inner_product(a.data, b.data, a.dim);
}

template <typename E>
double l1_distance(View<E> a, View<E> b) {
    return E::l1(a.data, b.data, a.dim);
}

// 1 - cos(a, b), within 0..2. NaN if one is the zero vector, or so small or large that a sum of
// squares leaves the range of float.
template <typename E>
double cosine_distance(View<E> a, View<E> b) {
    simd::CosineSums s = E::cosine(a.data, b.data, a.dim);
    // One square root over the product in double: it cannot overflow, and equal vectors give 1.
    double similarity = s.dot / std::sqrt(static_cast<double>(s.aa) * s.bb);
    return 1.0 - std::clamp(similarity, -1.0, 1.0);
}

// The angle between two unit vectors in half turns, 0..1.
template <typename E>
double spherical_distance(View<E> a, View<E> b) {
    return std::acos(std::clamp(inner_product(a, b), -1.0, 1.0)) / std::numbers::pi;
}

template <typename E>
double norm(View<E> a) {
    return std::sqrt(E::norm_squared(a.data, a.dim));
}

// out = a / |a|; zeros for the zero vector.
template <typename E>
Range normalize(View<E> a, typename E::Element *out) {
    double length = norm(a);
    bool overflow = false;
    for (uint32_t i = 0; i < a.dim; i++) {
        double x = length > 0 ? E::widen(a[i]) / length : 0;
        out[i] = E::narrow(static_cast<float>(x));
        overflow |= std::isinf(E::widen(out[i]));
    }
    return overflow ? Range::kOverflow : Range::kOk;
}

template <typename E>
Range add(View<E> a, View<E> b, typename E::Element *out) {
    bool overflow = false;
    for (uint32_t i = 0; i < a.dim; i++) {
        out[i] = E::narrow(E::widen(a[i]) + E::widen(b[i]));
        overflow |= std::isinf(E::widen(out[i]));
    }
    return overflow ? Range::kOverflow : Range::kOk;
}

template <typename E>
Range subtract(View<E> a, View<E> b, typename E::Element *out) {
    bool overflow = false;
    for (uint32_t i = 0; i < a.dim; i++) {
        out[i] = E::narrow(E::widen(a[i]) - E::widen(b[i]));
        overflow |= std::isinf(E::widen(out[i]));
    }
    return overflow ? Range::kOverflow : Range::kOk;
}

// Element by element. Underflow: a product of non-zero elements became 0. Where both happen, the
// first element out of range decides.
template <typename E>
Range multiply(View<E> a, View<E> b, typename E::Element *out) {
    Range range = Range::kOk;
    for (uint32_t i = 0; i < a.dim; i++) {
        float x = E::widen(a[i]), y = E::widen(b[i]);
        out[i] = E::narrow(x * y);
        float product = E::widen(out[i]);
        if (range != Range::kOk)
            continue;
        if (std::isinf(product))
            range = Range::kOverflow;
        else if (product == 0 && x != 0 && y != 0)
            range = Range::kUnderflow;
    }
    return range;
}

// One bit per element, the first in the most significant bit of the first byte: 1 for elements
// above 0. Writes (dim + 7) / 8 bytes; the bits left over are 0.
template <typename E>
void binary_quantize(View<E> a, uint8_t *bits) {
    for (uint32_t i = 0; i < a.dim; i += 8) {
        uint32_t n = std::min(a.dim - i, 8u);
        unsigned byte = 0;
        for (uint32_t j = 0; j < n; j++)
            byte |= static_cast<unsigned>(E::widen(a[i + j]) > 0) << (7 - j);
        bits[i / 8] = static_cast<uint8_t>(byte);
    }
}

// -1, 0 or 1, as arrays compare: the first difference decides, then the shorter is less.
template <typename E>
int compare(View<E> a, View<E> b) {
    uint32_t n = std::min(a.dim, b.dim);
    for (uint32_t i = 0; i < n; i++) {
        float x = E::widen(a[i]), y = E::widen(b[i]);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return (a.dim > b.dim) - (a.dim < b.dim);
}

}  // namespace hnsw::vec
