// An index of a partitioned table has no storage, so the server never calls ambuild for it; what that
// refuses would come to light with the first partition. object_access_hook hears of every new object.
#include "pg/partitioned_index.h"

#include "pg/am.h"

namespace hnsw::pg {

namespace {

object_access_hook_type previous_hook = nullptr;

// The relation's cache entry was made together with it; its catalog rows cannot be seen yet.
bool is_new_hnsw_parent(Oid oid) {
    Relation relation = RelationIdGetRelation(oid);
    if (relation == nullptr)
        return false;
    const bool found = relation->rd_rel->relkind == RELKIND_PARTITIONED_INDEX &&
                       is_hnsw_method(relation->rd_rel->relam);
    RelationClose(relation);
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
