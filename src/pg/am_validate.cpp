// amvalidate: is an operator class one that this access method can serve?  And amproperty.
#include "pg/am.h"
#include "pg/attribute_columns.h"
#include "pg/opclass.h"

namespace hnsw::pg {

namespace {

// One look at one operator class; complain() keeps going, so that all faults are shown.
struct Validation {
    const char *opclass;
    Oid family;
    Oid type;
    bool valid = true;

    void complain(const char *what) {
        ereport(INFO, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                       errmsg("operator class \"%s\" of access method hnsw %s", opclass, what)));
        valid = false;
    }
};

void check_procs(Validation &v, CatCList *procs) {
    for (int i = 0; i < procs->n_members; i++) {
        auto *proc = reinterpret_cast<Form_pg_amproc>(GETSTRUCT(&procs->members[i]->tuple));
        bool good = false;
        switch (proc->amprocnum) {
            case kDistanceProc:
                good = check_amproc_signature(proc->amproc, FLOAT8OID, true, 2, 2,
                                              proc->amproclefttype, proc->amprocrighttype);
                break;
            case kNormProc:
                good = check_amproc_signature(proc->amproc, FLOAT8OID, true, 1, 1,
                                              proc->amproclefttype);
                break;
            case kTypeProc:
                good = check_amproc_signature(proc->amproc, INTERNALOID, true, 1, 1, INTERNALOID);
                break;
            default:
                v.complain(psprintf("contains function %s with invalid support number %d",
                                    format_procedure(proc->amproc), proc->amprocnum));
                continue;
        }
        if (!good)
            v.complain(psprintf("contains function %s with wrong signature for support number %d",
                                format_procedure(proc->amproc), proc->amprocnum));
    }
}

// Operators of attributes say whether a row is wanted; the family's types may be mixed.
void check_attribute_operators(Validation &v, CatCList *operators) {
    for (int i = 0; i < operators->n_members; i++) {
        auto *op = reinterpret_cast<Form_pg_amop>(GETSTRUCT(&operators->members[i]->tuple));
        const char *name = format_operator(op->amopopr);
        const AttributeKind *kind = find_attribute_kind(op->amoplefttype);
        if (kind == nullptr || find_attribute_kind(op->amoprighttype) == nullptr)
            v.complain(psprintf("contains operator %s of types that attributes cannot have", name));
        else if (!attribute_kind_has_strategy(*kind, op->amopstrategy))
            v.complain(psprintf("contains operator %s with invalid strategy number %d", name,
                                op->amopstrategy));
        if (op->amoppurpose != AMOP_SEARCH)
            v.complain(psprintf("must not use operator %s FOR ORDER BY", name));
        if (!check_amop_signature(op->amopopr, BOOLOID, op->amoplefttype, op->amoprighttype))
            v.complain(psprintf("contains operator %s with wrong signature", name));
    }
}

void check_operators(Validation &v, CatCList *operators) {
    for (int i = 0; i < operators->n_members; i++) {
        auto *op = reinterpret_cast<Form_pg_amop>(GETSTRUCT(&operators->members[i]->tuple));
        const char *name = format_operator(op->amopopr);
        if (op->amopstrategy != kDistanceStrategy)
            v.complain(psprintf("contains operator %s with invalid strategy number %d", name,
                                op->amopstrategy));
        if (op->amoppurpose != AMOP_ORDER || !opfamily_can_sort_type(op->amopsortfamily, FLOAT8OID))
            v.complain(psprintf("must use operator %s FOR ORDER BY float_ops", name));
        if (!check_amop_signature(op->amopopr, FLOAT8OID, op->amoplefttype, op->amoprighttype))
            v.complain(psprintf("contains operator %s with wrong signature", name));
    }
}

PGFunction address_of(Oid function) {
    FmgrInfo info;
    fmgr_info(function, &info);
    return info.fn_addr;
}

// The support functions and the operator mean the same distance.
void check_kind(Validation &v) {
    Oid distance = get_opfamily_proc(v.family, v.type, v.type, kDistanceProc);
    Oid norm = get_opfamily_proc(v.family, v.type, v.type, kNormProc);
    Oid op = get_opfamily_member(v.family, v.type, v.type, kDistanceStrategy);
    if (!OidIsValid(distance) || !OidIsValid(op)) {
        v.complain("needs operator 1 and support function 1");
        return;
    }
    const OpclassKind *kind = find_opclass_kind(address_of(distance), OidIsValid(norm));
    if (kind == nullptr)
        v.complain("has a combination of support functions that hnsw does not know");
    else if (address_of(get_opcode(op)) != kind->operator_proc)
        v.complain(psprintf("orders by %s, but its support functions are those of %s",
                            format_operator(op), kind->operator_name));
}

}  // namespace

bool am_validate(Oid opclass) {
    HeapTuple tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
    if (!HeapTupleIsValid(tuple))
        elog(ERROR, "cache lookup failed for operator class %u", opclass);
    auto *form = reinterpret_cast<Form_pg_opclass>(GETSTRUCT(tuple));
    Validation v{.opclass = pstrdup(NameStr(form->opcname)),
                 .family = form->opcfamily,
                 .type = form->opcintype};
    if (OidIsValid(form->opckeytype))
        v.complain("must not have a storage type");
    ReleaseSysCache(tuple);

    CatCList *operators = SearchSysCacheList1(AMOPSTRATEGY, ObjectIdGetDatum(v.family));
    CatCList *procs = SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(v.family));
    const bool attribute = find_attribute_kind(v.type) != nullptr;
    if (attribute) {
        check_attribute_operators(v, operators);
        if (procs->n_members > 0)
            v.complain("must not have support functions");
    } else {
        check_procs(v, procs);
        check_operators(v, operators);
    }
    ReleaseCatCacheList(procs);
    ReleaseCatCacheList(operators);
    if (v.valid && !attribute)
        check_kind(v);
    return v.valid;
}

bool am_property(Oid, int attno, IndexAMProperty property, const char *, bool *result,
                 bool *isnull) {
    if (attno == 0)
        return false;
    const bool is_vector = attno == 1;
    if (property == AMPROP_DISTANCE_ORDERABLE)
        *result = is_vector;
    else if (property == AMPROP_SEARCH_ARRAY)
        *result = !is_vector;
    else
        return false;
    *isnull = false;
    return true;
}

}  // namespace hnsw::pg
