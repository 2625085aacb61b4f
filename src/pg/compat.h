// Differences between PostgreSQL 15, 16, 17 and 18: the only file that looks at the version.
// Included by pg/pg.h after the server's headers; include that instead.
#pragma once

#ifndef POSTGRES_H
#include "pg/pg.h"
#endif

extern "C" {
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif
}

// 18 lets a library tell its name and version to pg_get_loaded_modules().
#if PG_VERSION_NUM >= 180000
#define HNSW_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "hnsw", .version = "1.0")
#else
#define HNSW_MODULE_MAGIC PG_MODULE_MAGIC
#endif

// 16 lets input functions report an error to their caller (pg_input_is_valid(), COPY … ON_ERROR)
// instead of raising it; before, reporting is raising. Code after errsave() must cope with both.
#if PG_VERSION_NUM < 160000
#define errsave(context, ...)        \
    do {                             \
        static_cast<void>(context);  \
        ereport(ERROR, __VA_ARGS__); \
    } while (0)
#endif

namespace hnsw::pg {

// VACUUM's delay and interrupt point.
inline void vacuum_delay() {
#if PG_VERSION_NUM >= 180000
    vacuum_delay_point(false);
#else
    vacuum_delay_point();
#endif
}

// Bytes VACUUM may use in this process.
inline size_t vacuum_memory_limit() {
#if PG_VERSION_NUM >= 170000
    bool automatic = AmAutoVacuumWorkerProcess();
#else
    bool automatic = IsAutoVacuumWorkerProcess();
#endif
    int kilobytes =
        automatic && autovacuum_work_mem != -1 ? autovacuum_work_mem : maintenance_work_mem;
    return size_t{1024} * static_cast<size_t>(kilobytes);
}

// Pins `buffer` if it still holds that block; false if not. Counted as a buffer hit.
inline bool read_recent_buffer(Relation relation, ForkNumber fork, BlockNumber block,
                               Buffer buffer) {
#if PG_VERSION_NUM >= 160000
    bool hit = ReadRecentBuffer(relation->rd_locator, fork, block, buffer);
#else
    bool hit = ReadRecentBuffer(relation->rd_node, fork, block, buffer);
#endif
    if (hit) {
        pgstat_count_buffer_read(relation);
        pgstat_count_buffer_hit(relation);
    }
    return hit;
}

// The file that a relation is in now.
#if PG_VERSION_NUM >= 160000
using FileNumber = RelFileNumber;
inline FileNumber file_number_of(Relation relation) { return relation->rd_locator.relNumber; }
#else
using FileNumber = Oid;
inline FileNumber file_number_of(Relation relation) { return relation->rd_node.relNode; }
#endif

// The snapshot that detoasting uses. Raises an error where detoasting would, for want of an active
// snapshot.
class ToastSnapshot {
public:
    static constexpr bool kAbandonable = true;
#if PG_VERSION_NUM >= 180000
    ToastSnapshot() : snapshot_(get_toast_snapshot()) {}
    Snapshot get() { return snapshot_; }

private:
    Snapshot snapshot_;
#else
    ToastSnapshot() { init_toast_snapshot(&snapshot_); }
    Snapshot get() { return &snapshot_; }

private:
    SnapshotData snapshot_;
#endif
};

// Adds a zeroed block; returns it pinned and locked exclusively.
inline Buffer extend_relation(Relation relation, ForkNumber fork) {
#if PG_VERSION_NUM >= 160000
    BufferManagerRelation target{};
    target.rel = relation;
    return ExtendBufferedRel(target, fork, nullptr, EB_LOCK_FIRST);
#else
    // Not RELATION_IS_LOCAL(): parallel workers extend an index their leader has just created.
    bool shared = !RelationUsesLocalBuffers(relation);
    if (shared)
        LockRelationForExtension(relation, ExclusiveLock);
    Buffer buffer = ReadBufferExtended(relation, fork, P_NEW, RBM_NORMAL, nullptr);
    LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
    if (shared)
        UnlockRelationForExtension(relation, ExclusiveLock);
    return buffer;
#endif
}

// Makes a fork at least so many blocks long; the new ones are zero, and nobody has them in a buffer.
inline void grow_relation(Relation relation, ForkNumber fork, BlockNumber blocks) {
    LockRelationForExtension(relation, ExclusiveLock);
    BlockNumber now = RelationGetNumberOfBlocksInFork(relation, fork);
#if PG_VERSION_NUM >= 160000
    if (now < blocks)
        smgrzeroextend(RelationGetSmgr(relation), fork, now, static_cast<int>(blocks - now), false);
#else
    PGAlignedBlock zeros{};
    for (; now < blocks; now++)
        smgrextend(RelationGetSmgr(relation), fork, now, zeros.data, false);
#endif
    UnlockRelationForExtension(relation, ExclusiveLock);
}

// Sets the callbacks and properties of an access method that not all versions have.
inline void complete_amroutine([[maybe_unused]] IndexAmRoutine *am,
                               [[maybe_unused]] void (*insert_cleanup)(Relation, IndexInfo *)) {
#if PG_VERSION_NUM >= 170000
    am->aminsertcleanup = insert_cleanup;
    am->amcanbuildparallel = true;
#endif
}

// Counts one search for EXPLAIN (from 18: "Index Searches").
inline void count_index_search([[maybe_unused]] IndexScanDesc scan) {
#if PG_VERSION_NUM >= 180000
    if (scan->instrument != nullptr)
        scan->instrument->nsearches++;
#endif
}

// While another user's functions run: no search path of the caller (from 17).
inline void restrict_search_path() {
#if PG_VERSION_NUM >= 170000
    RestrictSearchPath();
#endif
}

// Marks a path as one the planner must not take while it has any other.
inline void disable_path([[maybe_unused]] IndexPath *path) {
#if PG_VERSION_NUM >= 180000
    path->path.disabled_nodes += 2;
#endif
}

// What EXPLAIN ANALYZE counts of an index scan (from 18).
#if PG_VERSION_NUM >= 180000
using ScanCounts = IndexScanInstrumentation;
#else
struct ScanCounts {};
#endif

inline void explain_scan_counts([[maybe_unused]] const ScanCounts &counts,
                                [[maybe_unused]] ExplainState *es) {
#if PG_VERSION_NUM >= 180000
    ExplainPropertyUInteger("Index Searches", nullptr, counts.nsearches, es);
#endif
}

// What EXPLAIN shows of a bitmap index scan.
inline ScanCounts *scan_counts_of([[maybe_unused]] BitmapIndexScanState *node) {
#if PG_VERSION_NUM >= 180000
    return &node->biss_Instrument;
#else
    return nullptr;
#endif
}

// `counts` outlives the scan.
inline IndexScanDesc begin_index_scan(Relation heap, Relation index, Snapshot snapshot,
                                      [[maybe_unused]] ScanCounts *counts, int keys, int orderbys) {
#if PG_VERSION_NUM >= 180000
    return index_beginscan(heap, index, snapshot, counts, keys, orderbys);
#else
    return index_beginscan(heap, index, snapshot, keys, orderbys);
#endif
}

// The pages of a bitmap in block order. Not more than one reader of a bitmap at a time.
class BitmapReader {
public:
    static constexpr bool kAbandonable = true;

    struct Page {
        BlockNumber block;
        bool lossy;  // any row of the page may be meant
        std::span<const OffsetNumber> offsets;
    };

#if PG_VERSION_NUM >= 180000
    explicit BitmapReader(TIDBitmap *bitmap) : iterator_(tbm_begin_private_iterate(bitmap)) {}
    // `page` is valid until the next call.
    bool next(Page *page) {
        TBMIterateResult result;
        if (!tbm_private_iterate(iterator_, &result))
            return false;
        int count =
            result.lossy ? 0 : tbm_extract_page_tuple(&result, offsets_, lengthof(offsets_));
        *page = {result.blockno, result.lossy, {offsets_, static_cast<size_t>(count)}};
        return true;
    }
    void end() { tbm_end_private_iterate(iterator_); }

private:
    TBMPrivateIterator *iterator_;
    OffsetNumber offsets_[TBM_MAX_TUPLES_PER_PAGE];
#else
    explicit BitmapReader(TIDBitmap *bitmap) : iterator_(tbm_begin_iterate(bitmap)) {}
    // `page` is valid until the next call.
    bool next(Page *page) {
        const TBMIterateResult *result = tbm_iterate(iterator_);
        if (result == nullptr)
            return false;
        bool lossy = result->ntuples < 0;
        *page = {result->blockno,
                 lossy,
                 {result->offsets, lossy ? size_t{0} : static_cast<size_t>(result->ntuples)}};
        return true;
    }
    void end() { tbm_end_iterate(iterator_); }

private:
    TBMIterator *iterator_;
#endif
};

}  // namespace hnsw::pg
