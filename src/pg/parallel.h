// What parallel builds of every kind need: shared memory that they can do without, and the query's text
// for pg_stat_activity.
#pragma once

#include "pg/guard.h"

namespace hnsw::pg {

// Whether an error is a user's or administrator's wish. Any other one means that shared memory
// cannot be had: which code that has depends on its type and on the system.
inline bool is_cancel(const ErrorData *edata) {
    return ERRCODE_TO_CATEGORY(edata->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION;
}

// Runs `call`, which allocates shared memory; false if that cannot be had. A resource owner of its
// own takes what a failed attempt leaves behind.
template <typename F>
bool try_shared_memory(F &&call) {
    ResourceOwner outer = CurrentResourceOwner;
    ResourceOwner owner = ResourceOwnerCreate(outer, "hnsw build");
    CurrentResourceOwner = owner;
    ErrorData *error = pg_try(call);
    CurrentResourceOwner = outer;
    if (error == nullptr)
        return true;
    if (is_cancel(error))
        ReThrowError(error);
    ereport(DEBUG1,
            (errmsg_internal("hnsw build goes on without shared memory: %s", error->message)));
    FreeErrorData(error);
    ResourceOwnerRelease(owner, RESOURCE_RELEASE_BEFORE_LOCKS, false, false);
    ResourceOwnerRelease(owner, RESOURCE_RELEASE_LOCKS, false, false);
    ResourceOwnerRelease(owner, RESOURCE_RELEASE_AFTER_LOCKS, false, false);
    ResourceOwnerDelete(owner);
    return false;
}

inline constexpr uint64 kKeyQuery = 0x484E535700000000;

// Room for insert_query_text(), before the segment is made.
inline void estimate_query_text(ParallelContext *context) {
    if (debug_query_string == nullptr)
        return;
    shm_toc_estimate_chunk(&context->estimator, strlen(debug_query_string) + 1);
    shm_toc_estimate_keys(&context->estimator, 1);
}

inline void insert_query_text(ParallelContext *context) {
    if (debug_query_string == nullptr)
        return;
    const size_t bytes = strlen(debug_query_string) + 1;
    void *query = shm_toc_allocate(context->toc, bytes);
    memcpy(query, debug_query_string, bytes);
    shm_toc_insert(context->toc, kKeyQuery, query);
}

// A worker's.
inline void report_query_text(shm_toc *toc) {
    auto *query = static_cast<char *>(shm_toc_lookup(toc, kKeyQuery, true));
    if (query == nullptr)
        return;
    debug_query_string = query;
    pgstat_report_activity(STATE_RUNNING, query);
}

}  // namespace hnsw::pg
