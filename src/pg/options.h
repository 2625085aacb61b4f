// Settings (hnsw.* GUCs) and index storage parameters.
#pragma once

#include "core/scan.h"
#include "pg/pg.h"

namespace hnsw::pg {

// Defines every hnsw.* setting and the storage parameters. Called once per backend, from _PG_init.
void define_options();

// What a scan that starts now is to do: hnsw.* and work_mem.
core::ScanOptions scan_options();
// hnsw.ef_search, for the planner.
int ef_search();
// hnsw.enable_custom_scan and hnsw.filter_strategy.
bool custom_scan_enabled();
core::Strategy filter_strategy();

// Storage parameters of an index as they are set now (defaults 16 and 64).
int option_m(Relation index);
int option_ef_construction(Relation index);

// amoptions. Errors when `validate`: out of range, or ef_construction < 2 * m.
bytea *am_options(Datum reloptions, bool validate);

}  // namespace hnsw::pg
