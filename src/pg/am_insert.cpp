// aminsert: one heap row into the index, while others read and change it.
#include "core/insert.h"
#include "pg/am.h"
#include "pg/attribute_columns.h"
#include "pg/kept_state.h"
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

KeptState<InsertState> kept;
bool unfinished = false;  // an insert with it has begun; at the statement's end: and has failed

// Of the statement's memory context.
void statement_ends(void *) {
    kept.give_back();
    if (unfinished)
        kept.drop();
    unfinished = false;
}

InsertState *open_statement(Relation index, Relation heap, IndexInfo *info) {
    if (kept.busy())
        return create_state(info->ii_Context, index, heap);
    InsertState *state = kept.take(RelationGetRelid(index));
    if (state == nullptr) {
        state = create_state(info->ii_Context, index, heap);
        kept.keep(state);
    } else {
        state->opened->store.attach(index, heap);
    }
    auto *callback = static_cast<MemoryContextCallback *>(
        MemoryContextAlloc(info->ii_Context, sizeof(MemoryContextCallback)));
    callback->func = statement_ends;
    MemoryContextRegisterResetCallback(info->ii_Context, callback);
    return state;
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
    if (kept.holds(state))
        unfinished = true;
    state->inserter.insert(
        value, {.block = ItemPointerGetBlockNumber(tid), .offset = ItemPointerGetOffsetNumber(tid)},
        state->attributes.keys_of(values, isnull));
    if (kept.holds(state))
        unfinished = false;
    MemoryContextSwitchTo(caller);
    MemoryContextReset(state->row);
    return false;
}

void am_insert_cleanup(Relation, IndexInfo *info) {
    auto *state = static_cast<InsertState *>(info->ii_AmCache);
    if (state == nullptr)
        return;
    info->ii_AmCache = nullptr;
    if (!kept.holds(state))
        MemoryContextDelete(state->context);
}

}  // namespace hnsw::pg
