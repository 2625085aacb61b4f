// toast_cache.h says what for.
//
// A TOAST table and a value id name one content as long as VACUUM does not remove the value and the
// table's counter of ids, 32 bits, does not come round to it. What a snapshot of this transaction has
// seen is not removed while TransactionXmin stays where it is, so an entry counts only that long.
#include "pg/toast_cache.h"

#include "pg/toast_fetch.h"

namespace hnsw::pg {

namespace {

// Memory of an entry that is kept for the next transaction: malloc() would return it to the system
// and fetch it again with each.
constexpr size_t kMostKept = 16384;

struct Entry {
    Oid table = InvalidOid;
    Oid value = InvalidOid;  // invalid: the entry holds none
    TransactionId xmin = InvalidTransactionId;
    varlena *datum = nullptr;
    size_t room = 0;  // bytes at datum
};

Entry entries[kToastCacheEntries];
size_t next_entry = 0;
bool in_use = false;  // by this transaction

MemoryContext memory() {
    static MemoryContext context = nullptr;
    if (context == nullptr)
        context =
            AllocSetContextCreate(TopMemoryContext, "hnsw toast cache", ALLOCSET_DEFAULT_SIZES);
    return context;
}

void replace(Entry *entry, varlena *datum, size_t room) {
    if (entry->datum != nullptr)
        pfree(entry->datum);
    entry->datum = datum;
    entry->room = room;
}

void transaction_ends(void *) {
    in_use = false;
    for (Entry &entry : entries) {
        entry.value = InvalidOid;
        if (entry.room > kMostKept)
            replace(&entry, nullptr, 0);
    }
}

void forget_at_end() {
    if (in_use)
        return;
    auto *at_end = static_cast<MemoryContextCallback *>(
        MemoryContextAllocZero(TopTransactionContext, sizeof(MemoryContextCallback)));
    at_end->func = transaction_ends;
    MemoryContextRegisterResetCallback(TopTransactionContext, at_end);
    in_use = true;
}

void fetch(varlena *pointer, const varatt_external &toast, Entry *entry) {
    const size_t bytes = size_t{VARATT_EXTERNAL_GET_EXTSIZE(toast)} + VARHDRSZ;
    if (entry->room < bytes) {
        replace(entry, nullptr, 0);
        replace(entry, static_cast<varlena *>(MemoryContextAlloc(memory(), bytes)), bytes);
    }
    if (fetch_chunks(toast, entry->datum))
        return;
    MemoryContext caller = MemoryContextSwitchTo(memory());
    varlena *datum = detoast_attr(pointer);
    MemoryContextSwitchTo(caller);
    replace(entry, datum, VARSIZE(datum));
}

}  // namespace

varlena *fetch_toasted(varlena *pointer) {
    varatt_external toast;
    VARATT_EXTERNAL_GET_POINTER(toast, pointer);
    for (const Entry &entry : entries)
        if (entry.value == toast.va_valueid && entry.table == toast.va_toastrelid &&
            entry.xmin == TransactionXmin)
            return entry.datum;
    forget_at_end();
    Entry &entry = entries[next_entry];
    entry.value = InvalidOid;  // until it is whole
    fetch(pointer, toast, &entry);
    entry.table = toast.va_toastrelid;
    entry.value = toast.va_valueid;
    entry.xmin = TransactionXmin;
    next_entry = (next_entry + 1) % kToastCacheEntries;
    return entry.datum;
}

}  // namespace hnsw::pg
