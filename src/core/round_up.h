/* Sizes that are multiples of something. */
#pragma once

#include <cstddef>

namespace hnsw::core {

/* The least multiple of `to` (positive) that is not below `value`. */
constexpr size_t round_up(size_t value, size_t to) { return (value + to - 1) / to * to; }

}  // namespace hnsw::core
