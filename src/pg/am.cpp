// The handler function and the opened index.
#include "pg/am.h"

#include "pg/attribute_columns.h"
#include "pg/opclass.h"
#include "pg/options.h"
#include "pg/type_common.h"

namespace hnsw::pg {

namespace {

// Callbacks as the server sees them: C functions from which no C++ exception leaves.
template <auto Fn>
struct Callback;
template <typename Result, typename... Args, Result (*Fn)(Args...)>
struct Callback<Fn> {
    static Result call(Args... args) { return entry<Fn>(args...); }
};

Datum handler(FunctionCallInfo) {
    IndexAmRoutine *am = makeNode(IndexAmRoutine);
    am->amstrategies = 0;  // the operator families decide
    am->amsupport = kSupportProcs;
    am->amcanorderbyop = true;
    am->amcanmulticol = true;
    am->amoptionalkey = true;  // no condition on the vector is needed
    am->amsearcharray = true;
    am->amsearchnulls = true;
    am->amusemaintenanceworkmem = true;
    am->amparallelvacuumoptions =
        VACUUM_OPTION_PARALLEL_BULKDEL | VACUUM_OPTION_PARALLEL_COND_CLEANUP;
    am->amkeytype = InvalidOid;
    am->ambuild = Callback<am_build>::call;
    am->ambuildempty = Callback<am_build_empty>::call;
    am->aminsert = Callback<am_insert>::call;
    am->ambulkdelete = Callback<am_bulk_delete>::call;
    am->amvacuumcleanup = Callback<am_vacuum_cleanup>::call;
    am->amcostestimate = Callback<am_cost_estimate>::call;
    am->amoptions = Callback<am_options>::call;
    am->amproperty = Callback<am_property>::call;
    am->ambuildphasename = Callback<am_build_phase_name>::call;
    am->amvalidate = Callback<am_validate>::call;
    am->ambeginscan = Callback<am_begin_scan>::call;
    am->amrescan = Callback<am_rescan>::call;
    am->amgettuple = Callback<am_get_tuple>::call;
    am->amendscan = Callback<am_end_scan>::call;
    complete_amroutine(am, Callback<am_insert_cleanup>::call);
    PG_RETURN_POINTER(am);
}

[[noreturn]] void refuse_meta(Relation index, const char *reason) {
    ereport(ERROR,
            (errcode(ERRCODE_INDEX_CORRUPTED),
             errmsg("index \"%s\" cannot be used: %s", RelationGetRelationName(index), reason),
             errhint("REINDEX INDEX rebuilds it from the table.")));
    pg_unreachable();
}

void check_meta_status(Relation index, core::MetaStatus status, uint32_t version) {
    switch (status) {
        case core::MetaStatus::kOk:
            return;
        case core::MetaStatus::kNotAnIndex:
            refuse_meta(index, "its first block is not the metapage of an hnsw index");
        case core::MetaStatus::kUnknownVersion:
            refuse_meta(index, psprintf("its format version is %u, this library knows version %u",
                                        version, core::kFormatVersion));
        case core::MetaStatus::kDamaged:
            refuse_meta(index, "its metapage is damaged");
    }
}

int column_dimensions(Relation index) {
    return TupleDescAttr(RelationGetDescr(index), 0)->atttypmod;
}

}  // namespace

bool is_hnsw_index(Relation relation) {
    return relation->rd_rel->relkind == RELKIND_INDEX &&
           relation->rd_indam->aminsert == &Callback<am_insert>::call;
}

bool is_hnsw_index(const IndexOptInfo *index) {
    return reinterpret_cast<void *>(index->amcostestimate) ==
           reinterpret_cast<void *>(&Callback<am_cost_estimate>::call);
}

bool is_hnsw_method(Oid method) {
    const IndexAmRoutine *routine = GetIndexAmRoutineByAmId(method, true);
    return routine != nullptr && routine->aminsert == &Callback<am_insert>::call;
}

core::CreateOptions create_options(Relation index) {
    const AttributeColumns attributes(index);
    int dim = column_dimensions(index);
    if (dim < 1)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("column does not have dimensions"),
                        errhint("Declare it as vector(n), or index an expression with a cast: "
                                "((column::vector(n))).")));
    return {.metric = opclass_kind(index).metric,
            .dim = static_cast<uint32_t>(dim),
            .m = static_cast<uint32_t>(option_m(index)),
            .ef_construction = static_cast<uint32_t>(option_ef_construction(index)),
            .attributes = attributes.count()};
}

core::MetaPage read_meta(BufferStore &store, Relation index) {
    if (store.size() == 0)
        refuse_meta(index, "it is empty");
    core::PageRef page(store, core::kMetaBlock);
    core::MetaStatus status = core::check_meta(page.data());
    core::MetaPage meta = core::meta_of(page.data());
    page.release();
    check_meta_status(index, status, meta.version);
    int dim = column_dimensions(index);
    if (dim > 0 && static_cast<uint32_t>(dim) != meta.dim)
        refuse_meta(index,
                    psprintf("it was built for %u dimensions, its column has %d", meta.dim, dim));
    if (opclass_kind(index).metric != meta.metric)
        refuse_meta(index, "it was built for another operator class");
    const int attributes = IndexRelationGetNumberOfKeyAttributes(index) - 1;
    if (static_cast<uint32_t>(attributes) != meta.attributes)
        refuse_meta(index, psprintf("it was built for %u attributes, it has %d", meta.attributes,
                                    attributes));
    return meta;
}

OpenIndex::OpenIndex(MemoryContext context, Relation relation, Relation heap,
                     BufferStore::Purpose purpose, BufferAccessStrategy strategy)
    : memory(context),
      store(relation, heap, purpose, strategy),
      index((read_meta(store, relation), store), &memory) {}

OpenIndex *OpenIndex::open(MemoryContext context, Relation index, Relation heap,
                           BufferStore::Purpose purpose, BufferAccessStrategy strategy) {
    return create_in_context<OpenIndex>(context, context, index, heap, purpose, strategy);
}

const float *read_vector(Datum value, uint32_t dim, void **copy) {
    varlena *datum = PG_DETOAST_DATUM(value);
    *copy = reinterpret_cast<Pointer>(datum) != DatumGetPointer(value) ? datum : nullptr;
    auto view = view_of<vec::F32>(datum);
    if (!view)
        detail::raise_malformed(vec::F32::kName);
    detail::check_same_dim(dim, view->dim, vec::F32::kName);
    return view->data;
}

}  // namespace hnsw::pg

HNSW_FUNCTION(hnswhandler, hnsw::pg::handler);
