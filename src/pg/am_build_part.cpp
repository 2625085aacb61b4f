// One process' part in CREATE INDEX: rows into the arena, and beyond it into the pages.
#include "pg/am_build.h"

namespace hnsw::pg {

namespace {

// Puts pages into the new index, and logs them if asked to.
class ForkSink final : public core::PageSink {
public:
    static constexpr bool kAbandonable = true;

    ForkSink(Relation index, bool logged)
        : index_(index), logged_(logged && RelationNeedsWAL(index)) {}

    void begin_run(core::BlockNo, core::BlockNo end) override {
        CHECK_FOR_INTERRUPTS();
        grow_relation(index_, MAIN_FORKNUM, end);
    }
    void put(core::BlockNo block, const std::byte *page) override {
        CHECK_FOR_INTERRUPTS();
        Buffer buffer = ReadBufferExtended(index_, MAIN_FORKNUM, block, RBM_ZERO_AND_LOCK, nullptr);
        memcpy(BufferGetPage(buffer), page, BLCKSZ);
        MarkBufferDirty(buffer);
        UnlockReleaseBuffer(buffer);
    }
    void end_run(core::BlockNo first, core::BlockNo end) override {
        if (logged_)
            log_newpage_range(index_, MAIN_FORKNUM, first, end, true);
    }

private:
    Relation index_;
    bool logged_;
};

void report_phase(bool leader, BuildPhase phase) {
    if (leader)
        pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase);
}

}  // namespace

void BuildTerms::set_terms(const core::CreateOptions &options, const float *centre, void *floats) {
    create = options;
    centre_at = 0;
    if (centre == nullptr)
        return;
    memcpy(floats, centre, options.dim * sizeof(float));
    centre_at = static_cast<std::byte *>(floats) - reinterpret_cast<std::byte *>(this);
}

core::Space build_space(const BuildTerms &terms, std::pmr::memory_resource *memory) {
    const core::CreateOptions &create = terms.create;
    core::Space::Centres centres;
    centres.coordinates[0] = terms.centre();
    return core::Space(create.metric, create.dim, core::layouts_of(create).usual.bits,
                       create.rotation_seed, centres, memory);
}

void init_build_shared(BuildShared *shared, Relation heap, Relation index, bool concurrent,
                       const core::CreateOptions &create, const float *centre) {
    new (shared) BuildShared{};
    shared->heap = RelationGetRelid(heap);
    shared->index = RelationGetRelid(index);
    shared->concurrent = concurrent;
    shared->set_terms(create, centre, shared + 1);
    SpinLockInit(&shared->mutex);
    shared->stage = BuildStage::kMemory;
    shared->processes = 1;
    ConditionVariableInit(&shared->changed);
}

BuildPart::BuildPart(MemoryContext context, BuildShared *shared, void *arena, Relation heap,
                     Relation index)
    : shared_(shared),
      heap_(heap),
      index_(index),
      context_(context),
      row_(AllocSetContextCreate(context, "hnsw build row", ALLOCSET_DEFAULT_SIZES)),
      attributes_(index),
      memory_(context),
      arena_(arena),
      space_(build_space(*shared, &memory_)),
      worker_(arena_, space_, shared->create, check_for_interrupts, &memory_) {}

BuildStage BuildPart::stage() {
    SpinLockAcquire(&shared_->mutex);
    BuildStage stage = shared_->stage;
    SpinLockRelease(&shared_->mutex);
    return stage;
}

void BuildPart::enter() {
    SpinLockAcquire(&shared_->mutex);
    bool in_memory = shared_->stage == BuildStage::kMemory;
    if (in_memory)
        shared_->adding++;
    SpinLockRelease(&shared_->mutex);
    if (!in_memory)
        wait_for_pages();
}

void BuildPart::leave(bool full) {
    SpinLockAcquire(&shared_->mutex);
    if (full)
        shared_->stage = BuildStage::kFull;
    bool last = --shared_->adding == 0 && shared_->stage == BuildStage::kFull;
    if (last)
        shared_->stage = BuildStage::kWriting;
    SpinLockRelease(&shared_->mutex);
    if (!last)
        return;
    write_alone();
    SpinLockAcquire(&shared_->mutex);
    shared_->stage = BuildStage::kPages;
    SpinLockRelease(&shared_->mutex);
    ConditionVariableBroadcast(&shared_->changed);
}

void BuildPart::wait_for_pages() {
    wait_until(shared_, [this] { return shared_->stage == BuildStage::kPages; });
    auto *opened = OpenIndex::open(context_, index_, heap_, BufferStore::Purpose::kBulk);
    inserter_ = create_in_context<core::Inserter>(context_, opened->index, opened->core_context(),
                                                  shared_->create.ef_construction);
}

void BuildPart::add(const float *value, core::HeapTid tid, const core::Attributes &row) {
    if (inserter_ == nullptr) {
        // Full for one is full for all, so that they meet soon.
        if (!arena_.full() && worker_.add(value, tid, row) != core::BuildWorker::Added::kFull)
            return;
        leave(true);
        wait_for_pages();
    }
    inserter_->insert(value, tid, row);
}

void BuildPart::add_row(Relation, ItemPointer tid, Datum *values, bool *isnull, bool, void *arg) {
    auto *part = static_cast<BuildPart *>(arg);
    MemoryContext caller = MemoryContextSwitchTo(part->row_);
    void *copy;
    const float *value =
        isnull[0] ? nullptr : read_vector(values[0], part->shared_->create.dim, &copy);
    part->add(value,
              {.block = ItemPointerGetBlockNumber(tid), .offset = ItemPointerGetOffsetNumber(tid)},
              part->attributes_.keys_of(values, isnull));
    MemoryContextSwitchTo(caller);
    MemoryContextReset(part->row_);
    uint64_t rows = part->shared_->rows.fetch_add(1, std::memory_order_relaxed) + 1;
    if (part->leader_)
        pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, static_cast<int64>(rows));
}

void BuildPart::add_row_callback(Relation index, ItemPointer tid, Datum *values, bool *isnull,
                                 bool alive, void *part) {
    entry<add_row>(index, tid, values, isnull, alive, part);
}

void BuildPart::scan(IndexInfo *info, TableScanDesc scan, bool leader) {
    leader_ = leader;
    report_phase(leader, kPhaseLoading);
    double rows =
        table_index_build_scan(heap_, index_, info, true, leader, add_row_callback, this, scan);
    if (inserter_ == nullptr)
        leave(false);
    SpinLockAcquire(&shared_->mutex);
    shared_->heap_rows += rows;
    shared_->broken_hot_chain |= info->ii_BrokenHotChain;
    SpinLockRelease(&shared_->mutex);
    if (inserter_ == nullptr)
        finish_together();
}

// Lists are trimmed when nobody adds to them any more, and pages written when the graph is connected:
// everyone waits for everyone. If the arena has become full meanwhile, whoever writes the graph does
// it alone.
void BuildPart::finish_together() {
    SpinLockAcquire(&shared_->mutex);
    shared_->scanned++;
    SpinLockRelease(&shared_->mutex);
    ConditionVariableBroadcast(&shared_->changed);
    wait_until(shared_, [this] {
        return !shared_->in_memory() ||
               (shared_->processes != 0 && shared_->scanned == shared_->processes);
    });
    if (stage() != BuildStage::kMemory)
        return;
    trim();
    SpinLockAcquire(&shared_->mutex);
    const bool last = ++shared_->trimmed == shared_->processes;
    SpinLockRelease(&shared_->mutex);
    if (last) {
        connect();
        SpinLockAcquire(&shared_->mutex);
        shared_->connected = true;
        SpinLockRelease(&shared_->mutex);
        ConditionVariableBroadcast(&shared_->changed);
    } else {
        wait_until(shared_, [this] { return shared_->connected; });
    }
    if (leader_)
        measure();
    write_pages(true);
}

void BuildPart::trim() {
    report_phase(leader_, kPhaseFinishing);
    while (worker_.trim_some())
        CHECK_FOR_INTERRUPTS();
}

void BuildPart::connect() {
    const core::BuildPlaces places(shared_->create, shared_->centre() != nullptr);
    worker_.connect(&places);
}

void BuildPart::measure() {
    widths_ = core::measure_widths(arena_, space_, shared_->create, arena_.free_bytes(),
                                   check_for_interrupts, &memory_);
}

// Writes as much as others leave, and what only one can write if the widths are given.
void BuildPart::write_pages(bool logged, std::optional<core::SearchWidths> widths) {
    report_phase(leader_, kPhaseWriting);
    ForkSink sink(index_, logged);
    core::GraphWriter writer(arena_, space_, shared_->create, shared_->centre(), sink, &memory_);
    while (writer.write_some()) {
    }
    if (widths)
        writer.write_rest(*widths);
}

void BuildPart::finish() {
    if (stage() != BuildStage::kMemory)
        return;
    if (!widths_)
        measure();
    write_pages(true, widths_);
}

// The arena is full: everyone else waits.
void BuildPart::write_alone() {
    trim();
    connect();
    measure();
    write_pages(false, widths_);
    report_phase(leader_, kPhaseLoading);
}

}  // namespace hnsw::pg
