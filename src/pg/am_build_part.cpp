// One process' part in CREATE INDEX: rows into the arena, and beyond it into the pages.
#include "pg/am_build.h"

namespace hnsw::pg {

namespace {

// Appends pages to the new index. They are not logged: the leader logs the whole fork at the end.
class ForkWriter final : public core::BulkWriter {
public:
    static constexpr bool kAbandonable = true;

    explicit ForkWriter(Relation index) : index_(index) {}

    void append(const std::byte *page) override {
        CHECK_FOR_INTERRUPTS();
        Buffer buffer = extend_relation(index_, MAIN_FORKNUM);
        memcpy(BufferGetPage(buffer), page, BLCKSZ);
        MarkBufferDirty(buffer);
        UnlockReleaseBuffer(buffer);
    }

private:
    Relation index_;
};

core::Space make_space(BuildShared *shared, std::pmr::memory_resource *memory) {
    const core::CreateOptions &create = shared->create;
    core::Space::Centres centres;
    centres.coordinates[0] = shared->has_centre ? shared->centre() : nullptr;
    return core::Space(create.metric, create.dim, core::layouts_of(create).base.bits,
                       create.rotation_seed, centres, memory);
}

void report_phase(bool leader, BuildPhase phase) {
    if (leader)
        pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase);
}

}  // namespace

void init_build_shared(BuildShared *shared, Relation heap, Relation index, bool concurrent,
                       const core::CreateOptions &create, const float *centre) {
    new (shared) BuildShared{};
    shared->heap = RelationGetRelid(heap);
    shared->index = RelationGetRelid(index);
    shared->concurrent = concurrent;
    shared->has_centre = centre != nullptr;
    shared->create = create;
    if (centre != nullptr)
        memcpy(shared->centre(), centre, create.dim * sizeof(float));
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
      space_(make_space(shared, &memory_)),
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
    write();
    SpinLockAcquire(&shared_->mutex);
    shared_->stage = BuildStage::kPages;
    SpinLockRelease(&shared_->mutex);
    ConditionVariableBroadcast(&shared_->changed);
}

void BuildPart::wait_for_pages() {
    ConditionVariablePrepareToSleep(&shared_->changed);
    while (stage() != BuildStage::kPages)
        ConditionVariableSleep(&shared_->changed, PG_WAIT_EXTENSION);
    ConditionVariableCancelSleep();
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
        trim();
}

// Lists are trimmed when nobody adds to them any more: everyone waits for everyone. If the arena has
// become full meanwhile, whoever writes the graph trims it alone.
void BuildPart::trim() {
    SpinLockAcquire(&shared_->mutex);
    shared_->scanned++;
    SpinLockRelease(&shared_->mutex);
    ConditionVariableBroadcast(&shared_->changed);
    auto waiting = [this] {
        SpinLockAcquire(&shared_->mutex);
        bool missing = shared_->stage == BuildStage::kMemory &&
                       (shared_->processes == 0 || shared_->scanned < shared_->processes);
        SpinLockRelease(&shared_->mutex);
        return missing;
    };
    ConditionVariablePrepareToSleep(&shared_->changed);
    while (waiting())
        ConditionVariableSleep(&shared_->changed, PG_WAIT_EXTENSION);
    ConditionVariableCancelSleep();
    if (stage() != BuildStage::kMemory)
        return;
    while (worker_.trim_some())
        CHECK_FOR_INTERRUPTS();
}

void BuildPart::finish() {
    if (stage() == BuildStage::kMemory)
        write();
}

void BuildPart::write() {
    report_phase(leader_, kPhaseFinishing);
    while (worker_.trim_some())
        CHECK_FOR_INTERRUPTS();
    worker_.connect();
    float beam_factor =
        core::measure_beam_factor(arena_, space_, shared_->create, check_for_interrupts, &memory_);
    report_phase(leader_, kPhaseWriting);
    ForkWriter writer(index_);
    core::write_graph(worker_, arena_, space_, shared_->create,
                      shared_->has_centre ? shared_->centre() : nullptr, beam_factor, writer,
                      &memory_);
    report_phase(leader_, kPhaseLoading);
}

}  // namespace hnsw::pg
