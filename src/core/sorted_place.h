/*
 * Where a candidate belongs in a short sorted list: what every push into a beam asks, in a search
 * (beam.h) and in a build (build.cpp).
 */
#pragma once

#include <algorithm>
#include <cstddef>

namespace hnsw::core {

/* How many of `n` entries, ascending by their `distance`, are not farther than `distance`. Takes hardly
 * a branch, of which half would be wrong, and compares with many at once instead of waiting for one
 * comparison after the other. */
template <class Entry>
size_t sorted_place(const Entry *entries, size_t n, float distance) {
    constexpr size_t kStride = 16;
    constexpr size_t kMostByStride = 512;
    size_t place = 0;
    while (n - place > kMostByStride) {
        const size_t half = (n - place) / 2;
        if (entries[place + half].distance <= distance)
            place += half;
        else
            n = place + half;
    }
    for (size_t i = place + kStride - 1; i < n; i += kStride)
        place += entries[i].distance <= distance ? kStride : 0;
    const size_t end = std::min(place + kStride, n);
    for (size_t i = place; i < end; i++)
        place += entries[i].distance <= distance ? 1 : 0;
    return place;
}

}  // namespace hnsw::core
