// A dense vector's bytes as a bounds-checked view.
//
// The payload of every dense type (what follows the varlena header, and what goes over the wire,
// there in network byte order) is: int16 dimensions, int16 unused (0), then the elements.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace hnsw::vec {

inline constexpr size_t kDenseHeader = 4;

// Elements of a vector of type row E (vec/elem.h). Owns nothing.
template <typename E>
struct View {
    const typename E::Element *data;
    uint32_t dim;

    typename E::Element operator[](uint32_t i) const { return data[i]; }
};

// Size of the payload of a vector of `dim` elements.
template <typename E>
constexpr size_t payload_size(uint32_t dim) {
    return kDenseHeader + dim * sizeof(typename E::Element);
}

// The vector stored in `payload`, which must be aligned for an element. Nothing if the bytes are
// not a vector: dimensions outside 1..E::kMaxDims, or a length that does not fit them.
template <typename E>
std::optional<View<E>> view_payload(std::span<const std::byte> payload) {
    int16_t dim;
    if (payload.size() < kDenseHeader)
        return std::nullopt;
    std::memcpy(&dim, payload.data(), sizeof(dim));
    if (dim < 1 || static_cast<uint32_t>(dim) > E::kMaxDims)
        return std::nullopt;
    auto n = static_cast<uint32_t>(dim);
    if (payload.size() != payload_size<E>(n))
        return std::nullopt;
    return View<E>{reinterpret_cast<const typename E::Element *>(payload.data() + kDenseHeader), n};
}

}  // namespace hnsw::vec
