// hnsw_prewarm(): reads an index into shared buffers, so that the first queries after a restart need
// not wait for the disk one record at a time.
#include "pg/locked_index.h"

namespace hnsw::pg {

namespace {

// Blocks asked for ahead of the one that is read.
constexpr BlockNumber kReadAhead = 64;

// As many blocks as shared buffers hold at most: more would push out the first. Upper layers lie at the
// end of a built index and are what every search needs, so the end is read first.
Datum prewarm(FunctionCallInfo fcinfo) {
    LockedIndex locked = open_locked(PG_GETARG_OID(0));
    require_right_to_figures(locked);
    const BlockNumber blocks = RelationGetNumberOfBlocks(locked.index);
    const BlockNumber wanted = std::min<BlockNumber>(blocks, static_cast<BlockNumber>(NBuffers));
    for (BlockNumber done = 0; done < wanted; done++) {
        CHECK_FOR_INTERRUPTS();
        if (done + kReadAhead < wanted)
            PrefetchBuffer(locked.index, MAIN_FORKNUM, blocks - 1 - done - kReadAhead);
        ReleaseBuffer(ReadBuffer(locked.index, blocks - 1 - done));
    }
    locked.close();
    PG_RETURN_INT64(wanted);
}

}  // namespace

}  // namespace hnsw::pg

HNSW_FUNCTION(hnsw_prewarm, hnsw::pg::prewarm);
