// CREATE INDEX: an empty index filled row by row.
#include "core/insert.h"
#include "pg/am.h"

namespace hnsw::pg {

namespace {

struct BuildState {
    OpenIndex *opened;
    core::Inserter *inserter;
    MemoryContext row;
    double tuples;
};

void insert_row(Relation, ItemPointer tid, Datum *values, bool *isnull, bool, void *arg) {
    auto *state = static_cast<BuildState *>(arg);
    MemoryContext caller = MemoryContextSwitchTo(state->row);
    void *copy;
    const float *value =
        isnull[0] ? nullptr : read_vector(values[0], state->opened->index.meta().dim, &copy);
    state->inserter->insert(value, {.block = ItemPointerGetBlockNumber(tid),
                                    .offset = ItemPointerGetOffsetNumber(tid)});
    MemoryContextSwitchTo(caller);
    MemoryContextReset(state->row);
    state->tuples++;
}

void build_callback(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive,
                    void *arg) {
    entry<insert_row>(index, tid, values, isnull, alive, arg);
}

void create_fork(Relation index, ForkNumber fork) {
    core::CreateOptions options = create_options(index);
    BufferStore store(index, nullptr, BufferStore::Purpose::kBulk, nullptr, fork);
    core::create_empty_index(store, options);
}

}  // namespace

IndexBuildResult *am_build(Relation heap, Relation index, IndexInfo *info) {
    create_fork(index, MAIN_FORKNUM);
    MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "hnsw build", ALLOCSET_DEFAULT_SIZES);
    BuildState state{};
    state.row = AllocSetContextCreate(context, "hnsw build row", ALLOCSET_DEFAULT_SIZES);
    state.opened = OpenIndex::open(context, index, heap, BufferStore::Purpose::kBulk);
    state.inserter = create_in_context<core::Inserter>(context, state.opened->index,
                                                       state.opened->core_context(),
                                                       state.opened->index.meta().ef_construction);
    double rows =
        table_index_build_scan(heap, index, info, true, true, build_callback, &state, nullptr);
    if (RelationNeedsWAL(index))
        log_newpage_range(index, MAIN_FORKNUM, 0, RelationGetNumberOfBlocks(index), true);

    auto *result = static_cast<IndexBuildResult *>(palloc(sizeof(IndexBuildResult)));
    result->heap_tuples = rows;
    result->index_tuples = state.tuples;
    MemoryContextDelete(context);
    return result;
}

void am_build_empty(Relation index) {
    create_fork(index, INIT_FORKNUM);
    log_newpage_range(index, INIT_FORKNUM, 0, RelationGetNumberOfBlocksInFork(index, INIT_FORKNUM),
                      true);
}

char *am_build_phase_name(int64) { return nullptr; }

}  // namespace hnsw::pg
