/*
 * Attributes: the further columns of an index, as the core knows them.  Every attribute of a row is
 * one 64-bit key and a null bit.  What a key means (an ordered number, a hash, a signature) is known to
 * whoever makes keys and conditions (pg/attribute_columns.h); the core only compares.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/ids.h"

namespace hnsw::core {

inline constexpr uint32_t kMaxAttributes = 8;

/* The attributes of one heap row. Keys of NULLs and of columns the index has not are 0. */
struct Attributes {
    uint64_t key[kMaxAttributes] = {};
    uint8_t nulls = 0; /* bit i: attribute i is NULL */

    friend bool operator==(const Attributes &, const Attributes &) = default;
};

/*
 * A row where rows lie one behind the other (posting chunks, the build's arena): its TID and, if the
 * index has attributes, their null bits (1 byte) and keys.
 */
constexpr uint32_t packed_row_bytes(uint32_t attributes) {
    return attributes == 0 ? 6 : 7 + 8 * attributes;
}
inline void pack_row(std::byte *row, StoredTid tid, const Attributes &of_row, uint32_t attributes) {
    std::memcpy(row, &tid, sizeof(tid));
    if (attributes == 0)
        return;
    std::memcpy(row + 6, &of_row.nulls, 1);
    std::memcpy(row + 7, of_row.key, size_t{8} * attributes);
}
inline StoredTid packed_tid(const std::byte *row) {
    StoredTid tid;
    std::memcpy(&tid, row, sizeof(tid));
    return tid;
}
inline Attributes packed_attributes(const std::byte *row, uint32_t attributes) {
    Attributes of_row;
    if (attributes != 0) {
        std::memcpy(&of_row.nulls, row + 6, 1);
        std::memcpy(of_row.key, row + 7, size_t{8} * attributes);
    }
    return of_row;
}

}  // namespace hnsw::core
