/* Sizes that are multiples of something. */
#pragma once

#include <type_traits>

namespace hnsw::core {

/* The least multiple of `to` (positive) that is not below `value`. */
template <class T>
constexpr T round_up(T value, std::type_identity_t<T> to) {
    return (value + to - 1) / to * to;
}

}  // namespace hnsw::core
