/*
 * Attributes: the further columns of an index, as the core knows them.  Every attribute of a row is
 * one 64-bit key and a null bit.  What a key means (an ordered number, a hash, a signature) is known to
 * whoever makes keys and conditions (pg/attributes.h); the core only compares.
 */
#pragma once

#include <cstdint>

namespace hnsw::core {

inline constexpr uint32_t kMaxAttributes = 8;

/* The attributes of one heap row. Keys of NULLs and of columns the index has not are 0. */
struct Attributes {
    uint64_t key[kMaxAttributes] = {};
    uint8_t nulls = 0; /* bit i: attribute i is NULL */

    friend bool operator==(const Attributes &, const Attributes &) = default;
};

}  // namespace hnsw::core
