/* What hnsw_stats() reports: one sequential pass over the index. */
#pragma once

#include <cstdint>
#include <memory_resource>
#include <vector>

#include "core/context.h"
#include "core/index.h"

namespace hnsw::core {

struct LevelStats {
    uint64_t nodes = 0;
    uint64_t links = 0;
    uint64_t slots = 0; /* room for links */
    /* index = degree; of every level as long: slots of a usual record + 1 */
    std::pmr::vector<uint64_t> degree_histogram;
};

struct IndexStats {
    explicit IndexStats(std::pmr::memory_resource *memory) : levels(memory) {}
    std::pmr::vector<LevelStats> levels;
    uint64_t rows = 0, null_rows = 0, zero_rows = 0, duplicate_rows = 0;
    uint64_t deleted_nodes = 0;     /* no row left, still linked */
    uint64_t free_slots = 0;        /* freed, waiting or on the free list */
    uint64_t unused_slots = 0;      /* never filled */
    uint64_t unreachable_nodes = 0; /* layer-0 nodes no path from the entry point reaches */
    uint64_t pages_by_kind[9] = {}; /* by PageKind */
};

IndexStats collect_stats(Index &index, const Context &context);

}  // namespace hnsw::core
