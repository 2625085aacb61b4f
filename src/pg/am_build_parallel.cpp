// Parallel CREATE INDEX: shared memory, workers, and what a worker does.
#include "pg/am_build.h"

namespace hnsw::pg {

namespace {

constexpr uint64 kKeyShared = 0x484E535700000001;
constexpr uint64 kKeyScan = 0x484E535700000002;

void drop(ParallelBuild *build) {
    build->workforce.drop();
    if (build->snapshot != nullptr && IsMVCCSnapshot(build->snapshot))
        UnregisterSnapshot(build->snapshot);
    *build = {};
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
    dsm_segment *segment = attach_segment(shared->arena_handle);

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
    const size_t shared = BuildShared::bytes(create.dim);
    const Size scan = table_parallelscan_estimate(heap, build->snapshot);
    Workforce &workforce = build->workforce;
    if (!workforce.allocate(arena_bytes, "hnsw_build_worker", workers,
                            [&](shm_toc_estimator *estimator) {
                                shm_toc_estimate_chunk(estimator, shared);
                                shm_toc_estimate_chunk(estimator, scan);
                                shm_toc_estimate_keys(estimator, 2);
                            })) {
        drop(build);
        return false;
    }
    shm_toc *toc = workforce.context()->toc;
    core::Arena::format(workforce.memory(), arena_bytes, core::arena_shape(create));

    build->shared = static_cast<BuildShared *>(shm_toc_allocate(toc, shared));
    init_build_shared(build->shared, heap, index, info->ii_Concurrent, create, centre);
    build->shared->processes = 0;
    build->shared->arena_handle = workforce.handle();
    shm_toc_insert(toc, kKeyShared, build->shared);

    build->scan = static_cast<ParallelTableScanDesc>(shm_toc_allocate(toc, scan));
    table_parallelscan_initialize(heap, build->scan, build->snapshot);
    shm_toc_insert(toc, kKeyScan, build->scan);

    workforce.launch();
    if (workforce.launched() == 0) {
        drop(build);
        return false;
    }
    SpinLockAcquire(&build->shared->mutex);
    build->shared->processes = workforce.launched() + (parallel_leader_participation ? 1 : 0);
    SpinLockRelease(&build->shared->mutex);
    ConditionVariableBroadcast(&build->shared->changed);
    // From here on a worker that fails to start is an error, so nobody waits for it for ever.
    WaitForParallelWorkersToAttach(workforce.context());
    return true;
}

void wait_for_workers(ParallelBuild *build) {
    BuildShared *shared = build->shared;
    ConditionVariablePrepareToSleep(&shared->changed);
    for (;;) {
        SpinLockAcquire(&shared->mutex);
        bool done = shared->workers_done == build->workforce.launched();
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
    WaitForParallelWorkersToFinish(build->workforce.context());
    drop(build);
}

}  // namespace hnsw::pg

// Named in CreateParallelContext(): workers look it up in the library.
extern "C" PGDLLEXPORT void hnsw_build_worker(dsm_segment *segment, shm_toc *toc) {
    hnsw::pg::entry<hnsw::pg::build_worker>(segment, toc);
}
