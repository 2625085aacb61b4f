// Parallel CREATE INDEX: shared memory, workers, and what a worker does.
#include "pg/am_build.h"
#include "pg/parallel.h"

namespace hnsw::pg {

namespace {

constexpr uint64 kKeyShared = 0x484E535700000001;
constexpr uint64 kKeyScan = 0x484E535700000002;

void drop(ParallelBuild *build) {
    if (build->context != nullptr) {
        DestroyParallelContext(build->context);
        ExitParallelMode();
    }
    if (build->snapshot != nullptr && IsMVCCSnapshot(build->snapshot))
        UnregisterSnapshot(build->snapshot);
    if (build->arena_segment != nullptr)
        dsm_detach(build->arena_segment);
    *build = {};
}

bool allocate(ParallelBuild *build, Relation heap, const core::CreateOptions &create, int workers,
              size_t arena_bytes) {
    dsm_segment *segment = nullptr;
    if (!try_shared_memory(
            [&]() noexcept { segment = dsm_create(arena_bytes, DSM_CREATE_NULL_IF_MAXSEGMENTS); }))
        return false;
    if (segment == nullptr)
        return false;
    build->arena_segment = segment;
    EnterParallelMode();
    ParallelContext *context = CreateParallelContext("hnsw", "hnsw_build_worker", workers);
    build->context = context;
    shm_toc_estimate_chunk(&context->estimator, BuildShared::bytes(create.dim));
    shm_toc_estimate_chunk(&context->estimator, table_parallelscan_estimate(heap, build->snapshot));
    shm_toc_estimate_keys(&context->estimator, 2);
    estimate_query_text(context);
    return try_shared_memory([&]() noexcept { InitializeParallelDSM(context); }) &&
           context->seg != nullptr;
}

void build_worker(dsm_segment *, shm_toc *toc) {
    report_query_text(toc);
    auto *shared = static_cast<BuildShared *>(shm_toc_lookup(toc, kKeyShared, false));
    auto *scan = static_cast<ParallelTableScanDesc>(shm_toc_lookup(toc, kKeyScan, false));
    // As the leader's session locked them.
    Relation heap =
        table_open(shared->heap, shared->concurrent ? ShareUpdateExclusiveLock : ShareLock);
    Relation index =
        index_open(shared->index, shared->concurrent ? RowExclusiveLock : AccessExclusiveLock);
    IndexInfo *info = BuildIndexInfo(index);
    info->ii_Concurrent = shared->concurrent;
    dsm_segment *segment = dsm_attach(shared->arena_handle);
    if (segment == nullptr)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("could not map the shared memory of a parallel index build")));

    auto *part = create_in_context<BuildPart>(CurrentMemoryContext, CurrentMemoryContext, shared,
                                              dsm_segment_address(segment), heap, index);
    part->enter();
    part->scan(info, table_beginscan_parallel(heap, scan), false);
    SpinLockAcquire(&shared->mutex);
    shared->workers_done++;
    SpinLockRelease(&shared->mutex);
    ConditionVariableBroadcast(&shared->changed);

    dsm_detach(segment);
    index_close(index, NoLock);
    table_close(heap, NoLock);
}

}  // namespace

bool begin_parallel_build(ParallelBuild *build, Relation heap, Relation index, IndexInfo *info,
                          const core::CreateOptions &create, const float *centre, int workers,
                          size_t arena_bytes) {
    build->snapshot =
        info->ii_Concurrent ? RegisterSnapshot(GetTransactionSnapshot()) : SnapshotAny;
    if (!allocate(build, heap, create, workers, arena_bytes)) {
        drop(build);
        return false;
    }
    ParallelContext *context = build->context;
    build->arena = dsm_segment_address(build->arena_segment);
    core::Arena::format(build->arena, arena_bytes, core::arena_shape(create));

    build->shared =
        static_cast<BuildShared *>(shm_toc_allocate(context->toc, BuildShared::bytes(create.dim)));
    init_build_shared(build->shared, heap, index, info->ii_Concurrent, create, centre);
    build->shared->processes = 0;
    build->shared->arena_handle = dsm_segment_handle(build->arena_segment);
    shm_toc_insert(context->toc, kKeyShared, build->shared);

    build->scan = static_cast<ParallelTableScanDesc>(
        shm_toc_allocate(context->toc, table_parallelscan_estimate(heap, build->snapshot)));
    table_parallelscan_initialize(heap, build->scan, build->snapshot);
    shm_toc_insert(context->toc, kKeyScan, build->scan);

    insert_query_text(context);

    LaunchParallelWorkers(context);
    build->workers = context->nworkers_launched;
    if (build->workers == 0) {
        drop(build);
        return false;
    }
    SpinLockAcquire(&build->shared->mutex);
    build->shared->processes = build->workers + (parallel_leader_participation ? 1 : 0);
    SpinLockRelease(&build->shared->mutex);
    ConditionVariableBroadcast(&build->shared->changed);
    // From here on a worker that fails to start is an error, so nobody waits for it for ever.
    WaitForParallelWorkersToAttach(context);
    return true;
}

void wait_for_workers(ParallelBuild *build) {
    BuildShared *shared = build->shared;
    ConditionVariablePrepareToSleep(&shared->changed);
    for (;;) {
        SpinLockAcquire(&shared->mutex);
        bool done = shared->workers_done == build->workers;
        SpinLockRelease(&shared->mutex);
        if (done)
            break;
        pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE,
                                     static_cast<int64>(shared->rows.load()));
        constexpr long kMilliseconds = 1000;
        ConditionVariableTimedSleep(&shared->changed, kMilliseconds, PG_WAIT_EXTENSION);
    }
    ConditionVariableCancelSleep();
}

void end_parallel_build(ParallelBuild *build) {
    WaitForParallelWorkersToFinish(build->context);
    drop(build);
}

}  // namespace hnsw::pg

// Named in CreateParallelContext(): workers look it up in the library.
extern "C" PGDLLEXPORT void hnsw_build_worker(dsm_segment *segment, shm_toc *toc) {
    hnsw::pg::entry<hnsw::pg::build_worker>(segment, toc);
}
