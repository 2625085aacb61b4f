// The table of operator classes.
#include "pg/opclass.h"

extern "C" {
Datum hnsw_vector_l2_squared_distance(PG_FUNCTION_ARGS);
Datum hnsw_vector_negative_inner_product(PG_FUNCTION_ARGS);
Datum hnsw_l2_distance(PG_FUNCTION_ARGS);
Datum hnsw_cosine_distance(PG_FUNCTION_ARGS);
Datum hnsw_l1_distance(PG_FUNCTION_ARGS);
}

namespace hnsw::pg {

namespace {

const OpclassKind kKinds[] = {
    {core::Metric::kL2, "<->", hnsw_vector_l2_squared_distance, false, hnsw_l2_distance},
    {core::Metric::kInnerProduct, "<#>", hnsw_vector_negative_inner_product, false,
     hnsw_vector_negative_inner_product},
    {core::Metric::kCosine, "<=>", hnsw_vector_negative_inner_product, true, hnsw_cosine_distance},
    {core::Metric::kL1, "<+>", hnsw_l1_distance, false, hnsw_l1_distance},
};

}  // namespace

const OpclassKind *find_opclass_kind(PGFunction distance_proc, bool has_norm_proc) {
    for (const OpclassKind &kind : kKinds)
        if (kind.distance_proc == distance_proc && kind.has_norm_proc == has_norm_proc)
            return &kind;
    return nullptr;
}

const OpclassKind &opclass_kind(Relation index) {
    const OpclassKind *kind = find_opclass_kind(index_getprocinfo(index, 1, kDistanceProc)->fn_addr,
                                                OidIsValid(index_getprocid(index, 1, kNormProc)));
    if (kind == nullptr)
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("operator class of index \"%s\" has support functions that hnsw does not "
                        "know",
                        RelationGetRelationName(index)),
                 errhint("Use vector_l2_ops, vector_ip_ops, vector_cosine_ops or vector_l1_ops.")));
    return *kind;
}

}  // namespace hnsw::pg
