/*
 * What rows a scan is to return, beside their order: conditions on attributes, and a set of heap rows
 * that another index has found.  A filter never rejects a row that matches; it may let one pass that
 * does not (keys may be hashes, pages of the set may be lossy), so whoever uses a scan tests its rows
 * again.
 */
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "core/attributes.h"
#include "core/tid_set.h"

namespace hnsw::core {

/* A condition on one attribute. NULL meets kIsNull only. */
struct Condition {
    enum class Kind : uint8_t {
        kRange,     /* low <= key <= high */
        kAnyOf,     /* key is one of keys, which are sorted */
        kAllBits,   /* key has every bit of low */
        kAnyBits,   /* key has every bit of at least one of keys */
        kIsNull,    /* */
        kIsNotNull, /* */
    };
    Kind kind = Kind::kRange;
    uint8_t attribute = 0; /* 0..kMaxAttributes - 1 */
    uint64_t low = 0;
    uint64_t high = ~uint64_t{0};
    std::span<const uint64_t> keys = {}; /* outlive the scan */

    bool met_by(const Attributes &row) const {
        const bool is_null = (row.nulls >> attribute & 1) != 0;
        const uint64_t key = row.key[attribute];
        if (kind == Kind::kIsNull || is_null)
            return kind == Kind::kIsNull && is_null;
        switch (kind) {
            case Kind::kRange:
                return low <= key && key <= high;
            case Kind::kAnyOf:
                return std::binary_search(keys.begin(), keys.end(), key);
            case Kind::kAllBits:
                return (key & low) == low;
            case Kind::kAnyBits:
                return std::any_of(keys.begin(), keys.end(),
                                   [key](uint64_t bits) { return (key & bits) == bits; });
            case Kind::kIsNull:
            case Kind::kIsNotNull:
                break;
        }
        return true;
    }
};

/* The conjunction of its parts. By reference: parts outlive the scan. */
struct Filter {
    std::span<const Condition> conditions;
    const TidSet *rows = nullptr; /* null: any row */

    bool empty() const { return conditions.empty() && rows == nullptr; }
    /* Whether a row may meet the filter. */
    bool met_by(HeapTid tid, const Attributes &row) const {
        return std::all_of(conditions.begin(), conditions.end(),
                           [&row](const Condition &c) { return c.met_by(row); }) &&
               (rows == nullptr || rows->contains(tid));
    }
};

}  // namespace hnsw::core
