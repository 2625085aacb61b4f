// Settings (hnsw.* GUCs) and index storage parameters.
#pragma once

namespace hnsw::pg {

// Defines every hnsw.* setting. Called once per backend, from _PG_init.
void define_gucs();

}  // namespace hnsw::pg
