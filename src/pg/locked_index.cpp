// Opening the index that a SQL function was given.
#include "pg/locked_index.h"

namespace hnsw::pg {

namespace {

[[noreturn]] void refuse_relation(const char *name, const char *why) {
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" %s", name, why)));
    pg_unreachable();
}

}  // namespace

LockedIndex open_locked(Oid oid) {
    Oid heap_oid = IndexGetRelation(oid, true);
    Relation heap = OidIsValid(heap_oid) ? table_open(heap_oid, AccessShareLock) : nullptr;
    Relation index = relation_open(oid, AccessShareLock);
    const char *name = RelationGetRelationName(index);
    if (index->rd_rel->relkind == RELKIND_PARTITIONED_INDEX)
        refuse_relation(name, "is a partitioned index; name the index of a partition");
    if (heap == nullptr || !is_hnsw_index(index))
        refuse_relation(name, "is not an hnsw index");
    if (RELATION_IS_OTHER_TEMP(index))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("cannot access temporary indexes of other sessions")));
    return {heap, index};
}

void require_right_to_figures(const LockedIndex &locked) {
    Oid user = GetUserId();
    AclResult right = pg_class_aclcheck(RelationGetRelid(locked.heap), user, ACL_SELECT);
    if (right != ACLCHECK_OK && !has_privs_of_role(user, ROLE_PG_STAT_SCAN_TABLES))
        aclcheck_error(right, OBJECT_TABLE, RelationGetRelationName(locked.heap));
}

}  // namespace hnsw::pg
