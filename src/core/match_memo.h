/*
 * What the pass over matching nodes has found out about a filter, kept from scan to scan by whoever can
 * tell that the index has not changed (pg/filter_memo.h).  A scan reads and fills it.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <vector>

#include "core/ids.h"

namespace hnsw::core {

struct MatchMemo {
    /* More are not kept: then reading their records costs more than finding them. */
    static constexpr size_t kMostNodes = 16384;

    explicit MatchMemo(std::pmr::memory_resource *memory) : ids(memory) {}

    /* The filter is another one, or the index may have changed. Scans that have begun before no longer
     * use it. */
    void reset() {
        number++;
        complete = false;
        ids.clear();
    }

    std::pmr::vector<NodeId> ids; /* of all nodes that pass, ascending, once `complete` */
    double nodes = 0;             /* live ones, about */
    uint64_t number = 1;          /* of what it is about */
    bool complete = false;
};

}  // namespace hnsw::core
