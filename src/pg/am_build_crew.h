// The crew of a build in regions: parallel workers that help to add rows to the arena, which lies in
// shared memory. The leader reads and writes everything else, and adds rows too, whatever
// parallel_leader_participation says.
#pragma once

#include "core/build_crew.h"
#include "pg/am_build.h"
#include "pg/parallel.h"

namespace hnsw::pg {

struct CrewShared;

class ParallelCrew final : public core::Crew {
public:
    static constexpr bool kAbandonable = true;

    // Up to so many workers; where they or shared memory cannot be had, fewer or none. `centre`: dim
    // floats, or null. All outlive the object.
    ParallelCrew(std::pmr::memory_resource *memory, const core::CreateOptions &create,
                 const float *centre, int workers)
        : alone_(memory), create_(create), centre_(centre), workers_(workers) {}

    uint32_t most() const override { return static_cast<uint32_t>(workers_) + 1; }
    // From here to dismiss() the session is in parallel mode, if it has workers.
    void *gather(size_t bytes) override;
    void begin_round() override;
    void end_round() override;
    void dismiss() override;

    // Workers that gather() started.
    int launched() const { return launched_; }

private:
    core::NoCrew alone_;
    const core::CreateOptions &create_;
    const float *centre_;
    const int workers_;
    int launched_ = 0;
    Workforce workforce_;
    CrewShared *shared_ = nullptr;  // null: nobody helps
};

}  // namespace hnsw::pg
