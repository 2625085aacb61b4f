// Settings and storage parameters of the access method.
#include "pg/options.h"

namespace hnsw::pg {

namespace {

constexpr int kMinM = 2;
constexpr int kMaxM = 100;
constexpr int kDefaultM = 16;
constexpr int kMinEfConstruction = 4;
constexpr int kMaxEfConstruction = 1000;
constexpr int kDefaultEfConstruction = 64;

// As the server keeps them in the relation cache.
struct StorageParameters {
    int32 vl_len_;
    int m;
    int ef_construction;
};

relopt_kind parameters_kind;

int ef_search_setting = 40;
int iterative_scan_setting = static_cast<int>(core::Iterative::kStrict);
int max_scan_tuples_setting = INT_MAX;
double scan_mem_multiplier_setting = 1;
bool enable_custom_scan_setting = true;
int filter_strategy_setting = static_cast<int>(core::Strategy::kAuto);

const config_enum_entry kFilterStrategyValues[] = {
    {"auto", static_cast<int>(core::Strategy::kAuto), false},
    {"exact", static_cast<int>(core::Strategy::kExact), false},
    {"filter_first", static_cast<int>(core::Strategy::kFilterFirst), false},
    {"penalised", static_cast<int>(core::Strategy::kPenalised), false},
    {"pre_filter", static_cast<int>(core::Strategy::kPreFilter), false},
    {"post_filter", static_cast<int>(core::Strategy::kPostFilter), false},
    {nullptr, 0, false},
};

const config_enum_entry kIterativeScanValues[] = {
    {"off", static_cast<int>(core::Iterative::kOff), false},
    {"relaxed_order", static_cast<int>(core::Iterative::kRelaxed), false},
    {"strict_order", static_cast<int>(core::Iterative::kStrict), false},
    {nullptr, 0, false},
};

void define_filter_settings() {
    DefineCustomBoolVariable(
        "hnsw.enable_custom_scan",
        "Whether filtered queries ordered by distance may use a scan of their own.",
        "Without it the server's index scan tests the filter row by row.",
        &enable_custom_scan_setting, true, PGC_USERSET, 0, nullptr, nullptr, nullptr);
    DefineCustomEnumVariable(
        "hnsw.filter_strategy", "How a filtered search goes about it.",
        "\"auto\" chooses while the query runs; the others are for tests and comparisons.",
        &filter_strategy_setting, static_cast<int>(core::Strategy::kAuto), kFilterStrategyValues,
        PGC_USERSET, 0, nullptr, nullptr, nullptr);
}

void define_settings() {
    DefineCustomIntVariable(
        "hnsw.ef_search", "Width of the beam an hnsw index is searched with.",
        "Larger values find more of the true nearest neighbours and take longer.",
        &ef_search_setting, 40, 1, 10000, PGC_USERSET, 0, nullptr, nullptr, nullptr);
    DefineCustomEnumVariable(
        "hnsw.iterative_scan", "What an hnsw scan does when its first beam is used up.",
        "\"off\" stops there; the other two go on until the query has all rows it wants.",
        &iterative_scan_setting, static_cast<int>(core::Iterative::kStrict), kIterativeScanValues,
        PGC_USERSET, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable(
        "hnsw.max_scan_tuples", "Rows an hnsw scan visits beyond its first beam before it stops.",
        "The largest value, 2147483647, means no limit.", &max_scan_tuples_setting, INT_MAX, 1,
        INT_MAX, PGC_USERSET, 0, nullptr, nullptr, nullptr);
    DefineCustomRealVariable(
        "hnsw.scan_mem_multiplier", "Multiple of work_mem an hnsw scan may use.",
        "A scan that needs more goes on with an exact pass that may use temporary files.",
        &scan_mem_multiplier_setting, 1, 1, 1000, PGC_USERSET, 0, nullptr, nullptr, nullptr);
    define_filter_settings();
    MarkGUCPrefixReserved("hnsw");
}

void define_storage_parameters() {
    parameters_kind = add_reloption_kind();
    add_int_reloption(parameters_kind, "m", "Links of a node per layer (twice that at the bottom)",
                      kDefaultM, kMinM, kMaxM, ShareUpdateExclusiveLock);
    add_int_reloption(parameters_kind, "ef_construction",
                      "Width of the search that finds the links of a row", kDefaultEfConstruction,
                      kMinEfConstruction, kMaxEfConstruction, ShareUpdateExclusiveLock);
}

}  // namespace

void define_options() {
    define_storage_parameters();
    define_settings();
}

core::ScanOptions scan_options() {
    double memory = work_mem * 1024.0 * scan_mem_multiplier_setting;
    core::ScanOptions options;
    options.ef = static_cast<uint32_t>(ef_search_setting);
    options.iterative = static_cast<core::Iterative>(iterative_scan_setting);
    if (max_scan_tuples_setting != INT_MAX)
        options.max_tuples = static_cast<uint64_t>(max_scan_tuples_setting);
    options.memory_limit = static_cast<size_t>(std::min(memory, static_cast<double>(SIZE_MAX / 2)));
    return options;
}

int ef_search() { return ef_search_setting; }
bool custom_scan_enabled() { return enable_custom_scan_setting; }
core::Strategy filter_strategy() { return static_cast<core::Strategy>(filter_strategy_setting); }

int option_m(Relation index) {
    auto *parameters = reinterpret_cast<StorageParameters *>(index->rd_options);
    return parameters != nullptr ? parameters->m : kDefaultM;
}

int option_ef_construction(Relation index) {
    auto *parameters = reinterpret_cast<StorageParameters *>(index->rd_options);
    return parameters != nullptr ? parameters->ef_construction : kDefaultEfConstruction;
}

bytea *am_options(Datum reloptions, bool validate) {
    // By assignment: version 18 added a member.
    relopt_parse_elt elements[2] = {};
    elements[0].optname = "m";
    elements[0].opttype = RELOPT_TYPE_INT;
    elements[0].offset = offsetof(StorageParameters, m);
    elements[1].optname = "ef_construction";
    elements[1].opttype = RELOPT_TYPE_INT;
    elements[1].offset = offsetof(StorageParameters, ef_construction);
    auto *parameters = static_cast<StorageParameters *>(
        build_reloptions(reloptions, validate, parameters_kind, sizeof(StorageParameters), elements,
                         lengthof(elements)));
    if (validate && parameters != nullptr && parameters->ef_construction < 2 * parameters->m)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("ef_construction must be greater than or equal to 2 * m"),
                        errdetail("ef_construction is %d, m is %d.", parameters->ef_construction,
                                  parameters->m)));
    return reinterpret_cast<bytea *>(parameters);
}

}  // namespace hnsw::pg
