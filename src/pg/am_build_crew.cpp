// Parallel workers that help a build in regions: shared memory, rounds, and what a worker does.
#include "pg/am_build_crew.h"

namespace hnsw::pg {

namespace {

constexpr uint64 kKeyCrew = 0x484E535700000011;

}  // namespace

// In shared memory; dim floats of the centre follow it.
struct CrewShared : BuildTerms {
    dsm_handle segment;  // board and arena

    slock_t mutex;  // protects what follows
    uint64 round;   // number of the last that was begun
    bool open;      // workers may join it
    bool over;      // there will be no further one
    int at_work;    // workers that have joined and not left it
    ConditionVariable changed;

    static size_t bytes(uint32_t dim) { return sizeof(CrewShared) + dim * sizeof(float); }
};

namespace {

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
    dsm_segment *segment = attach_segment(shared->segment);
    MemoryContext context = CurrentMemoryContext;
    auto *memory = create_in_context<McxtResource>(context, context);
    auto *space = create_in_context<core::Space>(context, build_space(*shared, memory));
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
    const size_t shared = CrewShared::bytes(create_.dim);
    if (workers_ == 0 || !workforce_.allocate(bytes, "hnsw_build_helper", workers_,
                                              [&](shm_toc_estimator *estimator) {
                                                  shm_toc_estimate_chunk(estimator, shared);
                                                  shm_toc_estimate_keys(estimator, 1);
                                              }))
        return alone_.gather(bytes);
    shm_toc *toc = workforce_.context()->toc;
    shared_ = new (shm_toc_allocate(toc, shared)) CrewShared{};
    shared_->set_terms(create_, centre_, shared_ + 1);
    shared_->segment = workforce_.handle();
    SpinLockInit(&shared_->mutex);
    ConditionVariableInit(&shared_->changed);
    shm_toc_insert(toc, kKeyCrew, shared_);
    workforce_.launch();
    launched_ = workforce_.launched();
    return workforce_.memory();
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
    WaitForParallelWorkersToFinish(workforce_.context());
    workforce_.drop();
    shared_ = nullptr;
}

}  // namespace hnsw::pg

// Named in CreateParallelContext(): workers look it up in the library.
extern "C" PGDLLEXPORT void hnsw_build_helper(dsm_segment *segment, shm_toc *toc) {
    hnsw::pg::entry<hnsw::pg::build_helper>(segment, toc);
}
