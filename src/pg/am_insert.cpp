// aminsert: one heap row into the index, while others read and change it.
#include "core/insert.h"
#include "pg/am.h"
#include "pg/attribute_columns.h"
#include "pg/options.h"

namespace hnsw::pg {

namespace {

// What rows of one statement, at least, share; hangs on IndexInfo::ii_AmCache.
struct InsertState {
    InsertState(MemoryContext context, MemoryContext row, Relation index, OpenIndex *opened,
                uint32_t ef)
        : context(context),
          row(row),
          opened(opened),
          attributes(index),
          inserter(opened->index, opened->core_context(), ef) {}

    MemoryContext context;  // everything here
    MemoryContext row;      // a child, emptied after each row
    OpenIndex *opened;
    AttributeColumns attributes;
    core::Inserter inserter;
};

InsertState *create_state(MemoryContext parent, Relation index, Relation heap) {
    MemoryContext context = AllocSetContextCreate(parent, "hnsw insert", ALLOCSET_DEFAULT_SIZES);
    MemoryContext row = AllocSetContextCreate(context, "hnsw insert row", ALLOCSET_DEFAULT_SIZES);
    OpenIndex *opened = OpenIndex::open(context, index, heap, BufferStore::Purpose::kWrite);
    auto ef = static_cast<uint32_t>(option_ef_construction(index));
    return create_in_context<InsertState>(context, context, row, index, opened, ef);
}

// The state of the index last inserted into outlives the statement: single-row statements would
// spend a tenth of their time on making it.  Whatever changes the index invalidates its relation
// cache entry.
struct Kept {
    InsertState *state = nullptr;
    Oid index = InvalidOid;
    bool stale = false;   // the entry was invalidated since
    bool busy = false;    // a statement uses it: others, such as a trigger's, have their own
    bool inside = false;  // an insert has begun: still so when the statement ends means an error
};
Kept kept;

void drop_kept() {
    if (kept.state != nullptr)
        MemoryContextDelete(kept.state->context);
    kept = {};
}

void relation_changed(Datum, Oid relation) {
    if (relation == kept.index || relation == InvalidOid)
        kept.stale = true;
}

// Of the statement's memory context.
void statement_ends(void *) {
    kept.busy = false;
    if (kept.inside)
        drop_kept();
}

InsertState *open_statement(Relation index, Relation heap, IndexInfo *info) {
    static bool registered = false;
    if (!registered) {
        CacheRegisterRelcacheCallback(relation_changed, 0);
        registered = true;
    }
    if (kept.busy)
        return create_state(info->ii_Context, index, heap);
    if (kept.stale || kept.index != RelationGetRelid(index))
        drop_kept();
    if (kept.state == nullptr) {
        kept.index = RelationGetRelid(index);
        InsertState *state = create_state(info->ii_Context, index, heap);
        MemoryContextSetParent(state->context, TopMemoryContext);
        kept.state = state;
    } else {
        kept.state->opened->store.attach(index, heap);
    }
    auto *callback = static_cast<MemoryContextCallback *>(
        MemoryContextAlloc(info->ii_Context, sizeof(MemoryContextCallback)));
    callback->func = statement_ends;
    MemoryContextRegisterResetCallback(info->ii_Context, callback);
    kept.busy = true;
    return kept.state;
}

}  // namespace

bool am_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid, Relation heap,
               IndexUniqueCheck, bool, IndexInfo *info) {
    auto *state = static_cast<InsertState *>(info->ii_AmCache);
    if (state == nullptr) {
        state = open_statement(index, heap, info);
        info->ii_AmCache = state;
    }
    MemoryContext caller = MemoryContextSwitchTo(state->row);
    void *copy;
    const float *value =
        isnull[0] ? nullptr : read_vector(values[0], state->opened->index.meta().dim, &copy);
    if (state == kept.state)
        kept.inside = true;
    state->inserter.insert(
        value, {.block = ItemPointerGetBlockNumber(tid), .offset = ItemPointerGetOffsetNumber(tid)},
        state->attributes.keys_of(values, isnull));
    if (state == kept.state)
        kept.inside = false;
    MemoryContextSwitchTo(caller);
    MemoryContextReset(state->row);
    return false;
}

void am_insert_cleanup(Relation, IndexInfo *info) {
    auto *state = static_cast<InsertState *>(info->ii_AmCache);
    if (state == nullptr)
        return;
    info->ii_AmCache = nullptr;
    if (state != kept.state)
        MemoryContextDelete(state->context);
}

}  // namespace hnsw::pg
