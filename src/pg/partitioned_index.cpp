// An index of a partitioned table has no storage, so the server never calls ambuild for it; what that
// refuses would come to light with the first partition. object_access_hook hears of every new object.
#include "pg/partitioned_index.h"

#include "pg/am.h"

namespace hnsw::pg {

namespace {

object_access_hook_type previous_hook = nullptr;

// From the catalog, since the relation's cache entry is not complete yet; its row is of this command, so
// only SnapshotSelf sees it.
bool is_new_hnsw_parent(Oid oid) {
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_class_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(oid));
    Relation catalog = table_open(RelationRelationId, AccessShareLock);
    SysScanDesc scan = systable_beginscan(catalog, ClassOidIndexId, true, SnapshotSelf, 1, &key);
    HeapTuple tuple = systable_getnext(scan);
    bool found = false;
    if (HeapTupleIsValid(tuple)) {
        const auto *row = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
        found = row->relkind == RELKIND_PARTITIONED_INDEX && is_hnsw_method(row->relam);
    }
    systable_endscan(scan);
    table_close(catalog, AccessShareLock);
    return found;
}

// object_access_hook. Everything is refused by create_options(), which ambuild begins with, or was
// by amoptions, which the server calls for both kinds of table.
void check_new_object(ObjectAccessType access, Oid class_id, Oid object, int column, void *arg) {
    if (previous_hook != nullptr)
        previous_hook(access, class_id, object, column, arg);
    if (access != OAT_POST_CREATE || class_id != RelationRelationId || column != 0 ||
        !is_new_hnsw_parent(object))
        return;
    // It is the last thing index_create() does before it increments the counter itself, so this
    // makes nothing visible that is not finished, and leaves that increment nothing to do.
    CommandCounterIncrement();
    Relation index = index_open(object, NoLock);
    create_options(index);
    index_close(index, NoLock);
}

}  // namespace

void install_partitioned_index_check() {
    previous_hook = object_access_hook;
    object_access_hook = [](ObjectAccessType access, Oid class_id, Oid object, int column,
                            void *arg) {
        entry<check_new_object>(access, class_id, object, column, arg);
    };
}

}  // namespace hnsw::pg
