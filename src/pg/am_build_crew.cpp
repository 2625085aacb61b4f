// Parallel workers that help a build in regions: shared memory, rounds, and what a worker does.
#include "pg/am_build_crew.h"

#include "pg/parallel.h"

namespace hnsw::pg {

namespace {

constexpr uint64 kKeyCrew = 0x484E535700000011;

}  // namespace

// In shared memory; dim floats of the centre follow it.
struct CrewShared {
    core::CreateOptions create;
    bool has_centre;
    dsm_handle segment;  // board and arena

    slock_t mutex;  // protects what follows
    uint64 round;   // number of the last that was begun
    bool open;      // workers may join it
    bool over;      // there will be no further one
    int at_work;    // workers that have joined and not left it
    ConditionVariable changed;

    static size_t bytes(uint32_t dim) { return sizeof(CrewShared) + dim * sizeof(float); }
    float *centre() { return reinterpret_cast<float *>(this + 1); }
};

namespace {

// Waits until condition() holds, which is asked with the mutex held and may change what it protects.
template <class Condition>
void wait_until(CrewShared *shared, Condition &&condition) {
    auto holds = [&] {
        SpinLockAcquire(&shared->mutex);
        const bool result = condition();
        SpinLockRelease(&shared->mutex);
        return result;
    };
    ConditionVariablePrepareToSleep(&shared->changed);
    while (!holds())
        ConditionVariableSleep(&shared->changed, PG_WAIT_EXTENSION);
    ConditionVariableCancelSleep();
}

// Joins the next round. False: there is none.
bool join(CrewShared *shared, uint64 *round) {
    bool joined = false;
    wait_until(shared, [&] {
        joined = shared->open && shared->round != *round;
        if (joined) {
            shared->at_work++;
            *round = shared->round;
        }
        return joined || shared->over;
    });
    return joined;
}

void leave(CrewShared *shared) {
    SpinLockAcquire(&shared->mutex);
    shared->at_work--;
    SpinLockRelease(&shared->mutex);
    ConditionVariableBroadcast(&shared->changed);
}

void build_helper(dsm_segment *, shm_toc *toc) {
    report_query_text(toc);
    auto *shared = static_cast<CrewShared *>(shm_toc_lookup(toc, kKeyCrew, false));
    dsm_segment *segment = dsm_attach(shared->segment);
    if (segment == nullptr)
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("could not map the shared memory of a parallel index build")));
    MemoryContext context = CurrentMemoryContext;
    auto *memory = create_in_context<McxtResource>(context, context);
    auto *space = create_in_context<core::Space>(
        context,
        build_space(shared->create, shared->has_centre ? shared->centre() : nullptr, memory));
    auto *member = create_in_context<core::CrewMember>(
        context, static_cast<core::CrewBoard *>(dsm_segment_address(segment)), *space,
        shared->create, check_for_interrupts, memory);
    for (uint64 round = 0; join(shared, &round);) {
        member->take_part();
        leave(shared);
    }
    dsm_detach(segment);
}

}  // namespace

void *ParallelCrew::gather(size_t bytes) {
    if (workers_ != 0 && allocate(bytes)) {
        launch();
        return dsm_segment_address(segment_);
    }
    drop();
    return alone_.gather(bytes);
}

bool ParallelCrew::allocate(size_t bytes) {
    dsm_segment *segment = nullptr;
    if (!try_shared_memory(
            [&]() noexcept { segment = dsm_create(bytes, DSM_CREATE_NULL_IF_MAXSEGMENTS); }) ||
        segment == nullptr)
        return false;
    segment_ = segment;
    EnterParallelMode();
    ParallelContext *context = CreateParallelContext("hnsw", "hnsw_build_helper", workers_);
    context_ = context;
    shm_toc_estimate_chunk(&context->estimator, CrewShared::bytes(create_.dim));
    shm_toc_estimate_keys(&context->estimator, 1);
    estimate_query_text(context);
    return try_shared_memory([&]() noexcept { InitializeParallelDSM(context); }) &&
           context->seg != nullptr;
}

void ParallelCrew::launch() {
    shared_ = new (shm_toc_allocate(context_->toc, CrewShared::bytes(create_.dim))) CrewShared{};
    shared_->create = create_;
    shared_->has_centre = centre_ != nullptr;
    if (centre_ != nullptr)
        memcpy(shared_->centre(), centre_, create_.dim * sizeof(float));
    shared_->segment = dsm_segment_handle(segment_);
    SpinLockInit(&shared_->mutex);
    ConditionVariableInit(&shared_->changed);
    shm_toc_insert(context_->toc, kKeyCrew, shared_);
    insert_query_text(context_);
    LaunchParallelWorkers(context_);
    launched_ = context_->nworkers_launched;
}

void ParallelCrew::begin_round() {
    if (shared_ == nullptr)
        return;
    SpinLockAcquire(&shared_->mutex);
    shared_->round++;
    shared_->open = true;
    SpinLockRelease(&shared_->mutex);
    ConditionVariableBroadcast(&shared_->changed);
}

// A worker that fails raises its error here, as the leader waits.
void ParallelCrew::end_round() {
    if (shared_ == nullptr)
        return;
    wait_until(shared_, [this] {
        shared_->open = false;
        return shared_->at_work == 0;
    });
}

void ParallelCrew::dismiss() {
    if (shared_ == nullptr) {
        alone_.dismiss();
        return;
    }
    SpinLockAcquire(&shared_->mutex);
    shared_->over = true;
    SpinLockRelease(&shared_->mutex);
    ConditionVariableBroadcast(&shared_->changed);
    WaitForParallelWorkersToFinish(context_);
    drop();
}

void ParallelCrew::drop() {
    if (context_ != nullptr) {
        DestroyParallelContext(context_);
        ExitParallelMode();
    }
    if (segment_ != nullptr)
        dsm_detach(segment_);
    context_ = nullptr;
    segment_ = nullptr;
    shared_ = nullptr;
}

}  // namespace hnsw::pg

// Named in CreateParallelContext(): workers look it up in the library.
extern "C" PGDLLEXPORT void hnsw_build_helper(dsm_segment *segment, shm_toc *toc) {
    hnsw::pg::entry<hnsw::pg::build_helper>(segment, toc);
}
