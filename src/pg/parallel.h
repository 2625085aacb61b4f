// What parallel builds of every kind need: workers with shared memory that they can do without, and waiting
// for each other.
#pragma once

#include "pg/guard.h"

namespace hnsw::pg {

// Waits until condition() holds, which is asked with shared->mutex held and may change what it protects;
// shared->changed is broadcast when it may have come to hold.
template <class Shared, class Condition>
void wait_until(Shared *shared, Condition &&condition) {
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

// Workers of a build, and the segment of shared memory that it takes place in. Where an error ends the
// build, the transaction frees both.
class Workforce {
public:
    // Makes a segment of `bytes` and a context for up to so many workers that run `function`, an exported
    // one of the library; estimate(&estimator) asks for what the caller will put into its table of
    // contents. False: shared memory cannot be had, and nothing is held.
    template <class Estimate>
    bool allocate(size_t bytes, const char *function, int workers, Estimate &&estimate) {
        if (!make_segment(bytes))
            return false;
        make_context(function, workers);
        estimate(&context_->estimator);
        if (make_contents())
            return true;
        drop();
        return false;
    }
    // Starts workers, as many as can be had, maybe none, once the table of contents is filled.
    void launch();
    // Ends parallel mode, which allocate() began, and frees everything.
    void drop();

    void *memory() const { return dsm_segment_address(segment_); }
    dsm_handle handle() const { return dsm_segment_handle(segment_); }
    ParallelContext *context() const { return context_; }
    // Workers that launch() has started.
    int launched() const { return context_->nworkers_launched; }

private:
    bool make_segment(size_t bytes);
    void make_context(const char *function, int workers);
    bool make_contents();

    dsm_segment *segment_ = nullptr;
    ParallelContext *context_ = nullptr;
};

// A worker's first step: shows the query in pg_stat_activity.
void report_query_text(shm_toc *toc);

// A worker maps the segment of its Workforce.
dsm_segment *attach_segment(dsm_handle handle);

}  // namespace hnsw::pg
