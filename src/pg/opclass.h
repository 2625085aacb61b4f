// Which distance an operator class stands for.
//
// Operator classes have pgvector's shape, so that its scripts and dumps work: ordering operator 1,
// support function 1 the distance the index computes with, support function 2 (the norm) present
// where vectors are compared by direction.  Support function 3 is reserved for other element
// types.  The functions are recognised by their C address, never called.
#pragma once

#include "core/meta.h"
#include "pg/pg.h"

namespace hnsw::pg {

inline constexpr int kDistanceProc = 1;
inline constexpr int kNormProc = 2;
inline constexpr int kTypeProc = 3;
inline constexpr int kSupportProcs = 3;
inline constexpr int kDistanceStrategy = 1;

// One row per combination the index knows.
struct OpclassKind {
    core::Metric metric;
    const char *operator_name;
    PGFunction distance_proc;  // support function 1
    bool has_norm_proc;        // support function 2 is required (true) or must be absent
    PGFunction operator_proc;  // C function behind ordering operator 1
};

// The row with these support functions, or null. `norm_proc` may be null.
const OpclassKind *find_opclass_kind(PGFunction distance_proc, bool has_norm_proc);

// The row of an index's first column. Error: not an operator class of this library.
const OpclassKind &opclass_kind(Relation index);

}  // namespace hnsw::pg
