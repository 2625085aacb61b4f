/*
 * The read-only checker behind hnsw_check(), the unit tests and the fuzzers: walks every page and
 * reports each broken invariant of docs/format.md.  Runs beside writers: a finding is looked at a
 * second time before it is reported.
 */
#pragma once

#include <cstdint>
#include <memory_resource>

#include "core/context.h"
#include "core/index.h"

namespace hnsw::core {

enum class Severity : uint8_t { kError, kWarning, kNote };

/* One finding. `code` is one of the documented names (docs/check.md), static storage. */
struct Finding {
    Severity severity;
    const char *code;
    BlockNo block;
    NodeId node;        /* kNoNode: not about a record */
    const char *detail; /* valid during the call */
};

class FindingSink {
public:
    virtual ~FindingSink() = default;
    virtual void report(const Finding &finding) = 0;
    /* Each live heap row the index holds (for the comparison with the heap). `attributes`: what the
     * index says its attributes are; null if it keeps none, or they were not to be had at once. */
    virtual void row(HeapTid tid, const Attributes *attributes) = 0;
};

/* Memory: about 6 bytes per node. */
void verify(Index &index, const Context &context, FindingSink &sink);

}  // namespace hnsw::core
