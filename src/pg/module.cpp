// Library load: the magic block and _PG_init.
#include "pg/filter_plan.h"
#include "pg/guard.h"
#include "pg/options.h"
#include "pg/partitioned_index.h"
#include "pg/pg.h"

extern "C" {
HNSW_MODULE_MAGIC;
PGDLLEXPORT void _PG_init(void);
}

namespace hnsw::pg {
namespace {

// Another library with an access method of the same name (pgvector's) owns the same settings. The
// server would refuse the second definition with "attempt to redefine parameter", which tells the
// user nothing. A placeholder, left by SET before the library was loaded, is fine.
void reject_second_owner() {
    constexpr const char *kSetting = "hnsw.ef_search";
    if (GetConfigOption(kSetting, true, false) == nullptr)
        return;
    if (GetConfigOptionFlags(kSetting, true) & GUC_CUSTOM_PLACEHOLDER)
        return;
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
             errmsg("library \"hnsw\" cannot be loaded: another library in this session already "
                    "defines \"%s\"",
                    kSetting),
             errhint("pgvector and hnsw cannot be used in the same session. Use one of them per "
                     "database, and remove the other from shared_preload_libraries and "
                     "session_preload_libraries.")));
}

void init() {
    reject_second_owner();
    define_options();
    install_filter_scan();
    install_partitioned_index_check();
}

}  // namespace
}  // namespace hnsw::pg

void _PG_init(void) { hnsw::pg::entry<hnsw::pg::init>(); }
