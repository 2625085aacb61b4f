// toast_cache.h says what for.
//
// A TOAST table and a value id name one content as long as VACUUM does not remove the value and the
// table's counter of ids, 32 bits, does not come round to it. What a snapshot of this transaction has
// seen is not removed while TransactionXmin stays where it is, so an entry counts only that long.
#include "pg/toast_cache.h"

#include "pg/toast_fetch.h"

namespace hnsw::pg {

namespace {

struct Entry {
    Oid table = InvalidOid;
    Oid value = InvalidOid;
    TransactionId xmin = InvalidTransactionId;
    varlena *datum = nullptr;
};

struct Cache {
    MemoryContext context;  // a child of the transaction's
    MemoryContextCallback at_end;
    size_t next;
    Entry entries[kToastCacheEntries];
};

Cache *cache = nullptr;  // of this transaction, once it has fetched something

Cache *open_cache() {
    MemoryContext context =
        AllocSetContextCreate(TopTransactionContext, "hnsw toast cache", ALLOCSET_DEFAULT_SIZES);
    auto *made = static_cast<Cache *>(MemoryContextAllocZero(context, sizeof(Cache)));
    made->context = context;
    made->at_end.func = [](void *) { cache = nullptr; };
    MemoryContextRegisterResetCallback(context, &made->at_end);
    return made;
}

}  // namespace

varlena *fetch_toasted(varlena *pointer) {
    varatt_external toast;
    VARATT_EXTERNAL_GET_POINTER(toast, pointer);
    if (cache == nullptr)
        cache = open_cache();
    for (const Entry &entry : cache->entries)
        if (entry.value == toast.va_valueid && entry.table == toast.va_toastrelid &&
            entry.xmin == TransactionXmin && entry.datum != nullptr)
            return entry.datum;
    MemoryContext caller = MemoryContextSwitchTo(cache->context);
    varlena *datum = fetch_chunks(toast);
    if (datum == nullptr)
        datum = detoast_attr(pointer);
    MemoryContextSwitchTo(caller);
    Entry &entry = cache->entries[cache->next];
    if (entry.datum != nullptr)
        pfree(entry.datum);
    entry = {.table = toast.va_toastrelid,
             .value = toast.va_valueid,
             .xmin = TransactionXmin,
             .datum = datum};
    cache->next = (cache->next + 1) % kToastCacheEntries;
    return datum;
}

}  // namespace hnsw::pg
