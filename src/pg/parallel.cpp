// Parallel workers of a build and their shared memory, without which it goes on alone.
#include "pg/parallel.h"

namespace hnsw::pg {

namespace {

constexpr uint64 kKeyQuery = 0x484E535700000000;

// Whether an error is a user's or administrator's wish. Any other one means that shared memory
// cannot be had: which code that has depends on its type and on the system.
bool is_cancel(const ErrorData *edata) {
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

}  // namespace

bool Workforce::make_segment(size_t bytes) {
    dsm_segment *segment = nullptr;
    if (!try_shared_memory(
            [&]() noexcept { segment = dsm_create(bytes, DSM_CREATE_NULL_IF_MAXSEGMENTS); }))
        return false;
    segment_ = segment;
    return segment != nullptr;
}

void Workforce::make_context(const char *function, int workers) {
    EnterParallelMode();
    context_ = CreateParallelContext("hnsw", function, workers);
    if (debug_query_string == nullptr)
        return;
    shm_toc_estimate_chunk(&context_->estimator, strlen(debug_query_string) + 1);
    shm_toc_estimate_keys(&context_->estimator, 1);
}

bool Workforce::make_contents() {
    ParallelContext *context = context_;
    return try_shared_memory([&]() noexcept { InitializeParallelDSM(context); }) &&
           context->seg != nullptr;
}

void Workforce::launch() {
    if (debug_query_string != nullptr) {
        const size_t bytes = strlen(debug_query_string) + 1;
        void *query = shm_toc_allocate(context_->toc, bytes);
        memcpy(query, debug_query_string, bytes);
        shm_toc_insert(context_->toc, kKeyQuery, query);
    }
    LaunchParallelWorkers(context_);
}

void Workforce::drop() {
    if (context_ != nullptr) {
        DestroyParallelContext(context_);
        ExitParallelMode();
    }
    if (segment_ != nullptr)
        dsm_detach(segment_);
    *this = {};
}

void report_query_text(shm_toc *toc) {
    auto *query = static_cast<char *>(shm_toc_lookup(toc, kKeyQuery, true));
    if (query == nullptr)
        return;
    debug_query_string = query;
    pgstat_report_activity(STATE_RUNNING, query);
}

dsm_segment *attach_segment(dsm_handle handle) {
    dsm_segment *segment = dsm_attach(handle);
    if (segment == nullptr)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("could not map the shared memory of a parallel index build")));
    return segment;
}

}  // namespace hnsw::pg
