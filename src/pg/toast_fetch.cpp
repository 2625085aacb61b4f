// toast_fetch.h says what for.
//
// While a value lives its chunks stay where they are, unless the table is rewritten. A place is only a
// hint all the same: what is there must be the chunk wanted, seen by the snapshot that detoasting uses,
// or the index is asked. A value id is not used again while a row that had it is left (GetNewOid…), so
// a chunk that names it is its.
#include "pg/toast_fetch.h"

#include "core/prefetch.h"

namespace hnsw::pg {

namespace {

// Vectors of more chunks always go by the index; at 1,536 dimensions there are four.
constexpr uint32_t kMaxChunks = 8;

// Places remembered in a session, at about 100 bytes each; one more, and all are forgotten.
constexpr long kMaxPlaces = 16384;

struct PlaceKey {
    Oid table;
    FileNumber file;  // a rewritten table has another
    Oid value;
};

struct Place {
    PlaceKey key;
    ItemPointerData tids[kMaxChunks];
};

HTAB *places = nullptr;  // for the session

Place *find_place(const PlaceKey &key, HASHACTION action) {
    if (places != nullptr && action == HASH_ENTER && hash_get_num_entries(places) >= kMaxPlaces) {
        hash_destroy(places);
        places = nullptr;
    }
    if (places == nullptr) {
        if (action == HASH_FIND)
            return nullptr;
        HASHCTL control{};
        control.keysize = sizeof(PlaceKey);
        control.entrysize = sizeof(Place);
        places = hash_create("hnsw toast places", 256, &control, HASH_ELEM | HASH_BLOBS);
    }
    return static_cast<Place *>(hash_search(places, &key, action, nullptr));
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

    // Copies the row in `slot` to where it belongs. False: it is not chunk `number` of this value.
    bool take(TupleTableSlot *slot, uint32_t number) const {
        if (number >= chunks)
            return false;
        bool null[3];
        Datum owner = slot_getattr(slot, 1, &null[0]);
        Datum place = slot_getattr(slot, 2, &null[1]);
        Datum data = slot_getattr(slot, 3, &null[2]);
        if (null[0] || null[1] || null[2] || DatumGetObjectId(owner) != id ||
            DatumGetInt32(place) != static_cast<int32>(number))
            return false;
        auto *chunk = reinterpret_cast<varlena *>(DatumGetPointer(data));
        const uint32_t from = number * TOAST_MAX_CHUNK_SIZE;
        const uint32_t wanted = std::min<uint32_t>(bytes - from, TOAST_MAX_CHUNK_SIZE);
        if (VARATT_IS_EXTERNAL(chunk) || VARATT_IS_COMPRESSED(chunk) ||
            VARSIZE_ANY_EXHDR(chunk) != wanted)
            return false;
        memcpy(VARDATA(datum) + from, VARDATA_ANY(chunk), wanted);
        return true;
    }
};

// A truncated table would raise an error.
bool has_block(Relation table, BlockNumber block) {
    // Never more than there are: whoever truncates it has everyone forget it.
    const BlockNumber known = RelationGetSmgr(table)->smgr_cached_nblocks[MAIN_FORKNUM];
    return (known != InvalidBlockNumber && block < known) ||
           block < RelationGetNumberOfBlocks(table);
}

// Asks for the chunk after the one in `slot`, if it is in the same page, while that is copied.
void prefetch_chunk(TupleTableSlot *slot, const ItemPointerData &next) {
    const Buffer buffer = reinterpret_cast<BufferHeapTupleTableSlot *>(slot)->buffer;
    if (BufferGetBlockNumber(buffer) != ItemPointerGetBlockNumber(&next))
        return;
    // What a pinned page has stays where it is.
    Page page = BufferGetPage(buffer);
    const ItemId item = PageGetItemId(page, ItemPointerGetOffsetNumber(&next));
    const unsigned at = ItemIdGetOffset(item);
    const unsigned end = std::min<unsigned>(at + ItemIdGetLength(item), BLCKSZ);
    if (at < end)
        core::prefetch_lines(page + at, end - at);
}

bool fetch_from_places(Relation table, Snapshot snapshot, TupleTableSlot *slot, const Place &found,
                       const Value &value) {
    IndexFetchTableData *fetch = table_index_fetch_begin(table);
    bool whole = true;
    for (uint32_t number = 0; whole && number < value.chunks; number++) {
        ItemPointerData tid = found.tids[number];
        bool again = false;
        whole = has_block(table, ItemPointerGetBlockNumber(&tid)) &&
                table_index_fetch_tuple(fetch, &tid, snapshot, slot, &again, nullptr);
        if (whole && number + 1 < value.chunks)
            prefetch_chunk(slot, found.tids[number + 1]);
        whole = whole && value.take(slot, number);
    }
    table_index_fetch_end(fetch);
    return whole;
}

// Sets place->tids.
bool fetch_by_index(Relation table, Snapshot snapshot, const Value &value, Place *place) {
    ScanKeyData key;
    ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(value.id));
    Relation *indexes;
    int count;
    const int valid = toast_open_indexes(table, AccessShareLock, &indexes, &count);
    SysScanDesc scan = systable_beginscan_ordered(table, indexes[valid], snapshot, 1, &key);
    uint32_t number = 0;
    bool whole = true;
    while (whole && systable_getnext_ordered(scan, ForwardScanDirection) != nullptr) {
        whole = value.take(scan->slot, number);
        if (whole && number < kMaxChunks)
            place->tids[number] = scan->slot->tts_tid;
        number++;
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
    const PlaceKey key = {toast.va_toastrelid, file_number_of(table), toast.va_valueid};
    ToastSnapshot snapshot;
    const Place *found = value.chunks <= kMaxChunks ? find_place(key, HASH_FIND) : nullptr;
    bool whole = false;
    if (found != nullptr) {
        TupleTableSlot *slot = table_slot_create(table, nullptr);
        whole = fetch_from_places(table, snapshot.get(), slot, *found, value);
        ExecDropSingleTupleTableSlot(slot);
    }
    if (!whole) {
        Place place{};
        whole = fetch_by_index(table, snapshot.get(), value, &place);
        if (whole && value.chunks <= kMaxChunks)
            memcpy(find_place(key, HASH_ENTER)->tids, place.tids, sizeof place.tids);
    }
    table_close(table, NoLock);
    return whole;
}

}  // namespace hnsw::pg
