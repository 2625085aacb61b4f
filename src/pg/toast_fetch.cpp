// toast_fetch.h says what for.
//
// While a value lives its chunks stay where they are, unless the table is rewritten. A place is only a
// hint all the same: what is there must be the chunk wanted, seen by the snapshot that detoasting uses,
// or the index is asked. A value id is not used again while a row that had it is left (GetNewOid…), so
// a chunk that names it is its.
#include "pg/toast_fetch.h"

#include "core/prefetch.h"
#include "pg/buffer_hints.h"
#include "pg/heap_page.h"

namespace hnsw::pg {

namespace {

// Values of more chunks or in more pages always go by the index; at 1,536 dimensions it is four
// chunks in one page or two.
constexpr uint32_t kMaxChunks = 8;
constexpr uint32_t kMaxPages = 3;

// Where a value's chunks were found.
struct alignas(64) Place {
    Oid table;
    Oid value;
    FileNumber file;            // a rewritten table has another
    uint16_t start;             // of the first chunk in its page
    uint16_t rows[kMaxChunks];  // each chunk's line pointer in its page
    uint8_t pages[kMaxChunks];  // and which of these it is
    BlockNumber blocks[kMaxPages];
    Buffer buffers[kMaxPages];  // where they were; may be invalid

    // False: one page too many.
    bool add(uint32_t number, const ItemPointerData &tid) {
        const BlockNumber block = ItemPointerGetBlockNumber(&tid);
        uint8_t page = number == 0 ? 0 : pages[number - 1];
        if (number > 0 && blocks[page] != block)
            page++;
        if (page == kMaxPages)
            return false;
        blocks[page] = block;
        pages[number] = page;
        rows[number] = ItemPointerGetOffsetNumber(&tid);
        return true;
    }
};
static_assert(sizeof(Place) == 64);

// Places remembered in a session, a megabyte. Value ids come from a counter, so that those of a table
// seldom share an entry.
constexpr uint32_t kPlaces = 16384;

Place *places = nullptr;

// Where a value's place is, if it is remembered at all.
Place *entry_of(const varatt_external &toast) {
    if (places == nullptr) {
        constexpr size_t kLine = alignof(Place);
        void *room = MemoryContextAllocZero(TopMemoryContext, kPlaces * sizeof(Place) + kLine);
        places = reinterpret_cast<Place *>(TYPEALIGN(kLine, room));
    }
    return &places[(toast.va_valueid + toast.va_toastrelid * 0x9E3779B9u) % kPlaces];
}

bool is_of(const Place &place, const varatt_external &toast) {
    return place.table == toast.va_toastrelid && place.value == toast.va_valueid;
}

// The value while its chunks come in.
struct Value {
    Oid id;
    uint32_t bytes;
    uint32_t chunks;
    varlena *datum;

    Value(const varatt_external &toast, varlena *into)
        : id(toast.va_valueid),
          bytes(VARATT_EXTERNAL_GET_EXTSIZE(toast)),
          chunks((bytes + TOAST_MAX_CHUNK_SIZE - 1) / TOAST_MAX_CHUNK_SIZE),
          datum(into) {
        SET_VARSIZE(datum, bytes + VARHDRSZ);
    }

    // Copies `row` of `table` to where it belongs. False: it is not chunk `number` of this value.
    bool take(Relation table, HeapTuple row, uint32_t number) const {
        if (number >= chunks)
            return false;
        TupleDesc columns = RelationGetDescr(table);
        bool null[3];
        Datum owner = heap_getattr(row, 1, columns, &null[0]);
        Datum place = heap_getattr(row, 2, columns, &null[1]);
        Datum data = heap_getattr(row, 3, columns, &null[2]);
        if (null[0] || null[1] || null[2] || DatumGetObjectId(owner) != id ||
            DatumGetInt32(place) != static_cast<int32>(number))
            return false;
        auto *chunk = reinterpret_cast<varlena *>(DatumGetPointer(data));
        const uint32_t from = number * TOAST_MAX_CHUNK_SIZE;
        const uint32_t wanted = std::min<uint32_t>(bytes - from, TOAST_MAX_CHUNK_SIZE);
        if (VARATT_IS_EXTERNAL(chunk) || VARATT_IS_COMPRESSED(chunk) ||
            VARSIZE_ANY_EXHDR(chunk) != wanted)
            return false;
        // Not memcpy: gcc makes a slow string instruction of it, knowing the largest size.
        memmove(VARDATA(datum) + from, VARDATA_ANY(chunk), wanted);
        return true;
    }
};

// The table's length when anyone last asked; never more than it is, since whoever truncates it has
// everyone forget it. 0: not known.
BlockNumber known_length(Relation table) {
    const BlockNumber known = RelationGetSmgr(table)->smgr_cached_nblocks[MAIN_FORKNUM];
    return known == InvalidBlockNumber ? 0 : known;
}

// Reading beyond the end of a truncated table would raise an error.
bool has_block(Relation table, BlockNumber block) {
    return block < known_length(table) || block < RelationGetNumberOfBlocks(table);
}

void prefetch_chunk(Page page, uint16_t start) {
    core::prefetch_lines(page + start, std::min<size_t>(TOAST_MAX_CHUNK_SIZE, BLCKSZ - start));
}

// Pins and locks a page that has chunks, in *buffer if it is still there. InvalidBuffer: the table
// has become shorter.
Buffer lock_page(Relation table, BlockNumber block, Buffer *buffer) {
    if (!hints_pay(known_length(table)) || !pin_where_seen(table, MAIN_FORKNUM, block, *buffer)) {
        if (!has_block(table, block))
            return InvalidBuffer;
        *buffer = ReadBuffer(table, block);
    }
    heap_page_prune_opt(table, *buffer);
    LockBuffer(*buffer, BUFFER_LOCK_SHARE);
    return *buffer;
}

bool fetch_from_place(Relation table, Snapshot snapshot, Place *place, const Value &value) {
    Buffer locked = InvalidBuffer;
    for (uint32_t number = 0; number < value.chunks; number++) {
        const uint8_t at = place->pages[number];
        const bool same_page = number > 0 && at == place->pages[number - 1];
        if (!same_page) {
            if (locked != InvalidBuffer)
                UnlockReleaseBuffer(locked);
            locked = lock_page(table, place->blocks[at], &place->buffers[at]);
            if (locked == InvalidBuffer)
                return false;
        }
        Page page = BufferGetPage(locked);
        ItemPointerData tid;
        ItemPointerSet(&tid, place->blocks[at], place->rows[number]);
        HeapTupleData row;
        bool found = heap_hot_search_buffer(&tid, table, locked, snapshot, &row, nullptr, true);
        if (found && number + 1 < value.chunks && place->pages[number + 1] == at)
            prefetch_chunk(page, row_start(page, place->rows[number + 1]));
        if (!found || !value.take(table, &row, number)) {
            UnlockReleaseBuffer(locked);
            return false;
        }
        if (number == 0)
            place->start = row_start(page, place->rows[0]);
    }
    UnlockReleaseBuffer(locked);
    return true;
}

// Remembers the chunks in *place; *found: whether they all are.
bool fetch_by_index(Relation table, Snapshot snapshot, const Value &value, Place *place,
                    bool *found) {
    ScanKeyData key;
    ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(value.id));
    Relation *indexes;
    int count;
    const int valid = toast_open_indexes(table, AccessShareLock, &indexes, &count);
    SysScanDesc scan = systable_beginscan_ordered(table, indexes[valid], snapshot, 1, &key);
    uint32_t number = 0;
    bool whole = true;
    for (HeapTuple row; whole && (row = systable_getnext_ordered(scan, ForwardScanDirection));
         number++) {
        whole = value.take(table, row, number);
        *found = *found && whole && number < kMaxChunks && place->add(number, row->t_self);
    }
    systable_endscan_ordered(scan);
    toast_close_indexes(indexes, count, NoLock);
    return whole && number == value.chunks;
}

}  // namespace

bool fetch_chunks(const varatt_external &toast, varlena *datum) {
    if (VARATT_EXTERNAL_IS_COMPRESSED(toast))
        return false;
    // The lock stays, as that of the vector's table does: the next value's is free.
    Relation table = table_open(toast.va_toastrelid, AccessShareLock);
    if (table->rd_tableam != GetHeapamTableAmRoutine()) {
        table_close(table, NoLock);
        return false;
    }
    const Value value(toast, datum);
    ToastSnapshot snapshot;
    Place *place = entry_of(toast);
    bool whole = is_of(*place, toast) && place->file == file_number_of(table) &&
                 fetch_from_place(table, snapshot.get(), place, value);
    if (!whole) {
        Place now{};
        now.table = toast.va_toastrelid;
        now.value = toast.va_valueid;
        now.file = file_number_of(table);
        bool found = true;
        whole = fetch_by_index(table, snapshot.get(), value, &now, &found);
        if (whole && found)
            *place = now;
    }
    table_close(table, NoLock);
    return whole;
}

void prefetch_chunks(const varatt_external &toast) {
    const Place &place = *entry_of(toast);
    const Buffer buffer = place.buffers[0];
    if (!is_of(place, toast) || buffer == InvalidBuffer)
        return;
    prefetch_page(buffer, place.rows[0]);
    prefetch_chunk(BufferGetPage(buffer), place.start);
}

}  // namespace hnsw::pg
