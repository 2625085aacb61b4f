// Attribute columns: the columns of an index after the first.  Values become the 64-bit keys of
// core/attributes.h, scan keys become conditions on them (core/filter.h).
//
// What a key is depends on the type of the column's operator class; docs/format.md lists it, because
// keys are stored.  Keys keep order or are hashes or signatures, never more exact than the value, and
// conditions are rounded outward: no row that meets a scan key fails its condition.  Some that do not
// meet it pass, so whoever scans tests rows again.
#pragma once

#include "core/filter.h"
#include "pg/memory.h"

namespace hnsw::pg {

// Strategies of the operator classes of attributes. The first five have btree's numbers.
inline constexpr int kLessStrategy = BTLessStrategyNumber;
inline constexpr int kLessEqualStrategy = BTLessEqualStrategyNumber;
inline constexpr int kEqualStrategy = BTEqualStrategyNumber;
inline constexpr int kGreaterEqualStrategy = BTGreaterEqualStrategyNumber;
inline constexpr int kGreaterStrategy = BTGreaterStrategyNumber;
inline constexpr int kOverlapsStrategy = 6;
inline constexpr int kContainsStrategy = 7;

struct AttributeKind;

// The kind of the operator classes for a type (as pg_opclass.opcintype has it); null if an attribute
// cannot have that type.
const AttributeKind *find_attribute_kind(Oid type);
bool attribute_kind_has_strategy(const AttributeKind &kind, int strategy);

// How one attribute column's values become keys.
struct AttributeColumn {
    const AttributeKind *kind = nullptr;
    Oid collation = InvalidOid;
    const TypeCacheEntry *element = nullptr;  // of an array's elements
};

// What scan keys ask for. Memory belongs to the context it was made in.
struct ScanConditions {
    std::span<const core::Condition> conditions;
    bool none = false;        // no row can meet them
    bool vector_set = false;  // the vector is not NULL
};

// The attribute columns of an opened index. Abandonable.
class AttributeColumns {
public:
    static constexpr bool kAbandonable = true;

    // Errors: more columns than an index can have, a second vector, an operator class that is not
    // ours, an array type whose elements cannot be hashed.
    explicit AttributeColumns(Relation index);

    uint32_t count() const { return count_; }

    // The keys of a row. `values` and `isnull` are of all columns of the index, the first included.
    // Allocates in the current memory context what the types' functions leave behind.
    core::Attributes keys_of(const Datum *values, const bool *isnull) const;

    // Conditions for `keys`, in memory of `context`.
    ScanConditions conditions_of(std::span<const ScanKeyData> keys, MemoryContext context) const;

private:
    std::array<AttributeColumn, core::kMaxAttributes> columns_;
    uint32_t count_ = 0;
};

}  // namespace hnsw::pg
