// Indexes of partitioned tables: refused when they are created, as those of plain tables are.
#pragma once

namespace hnsw::pg {

// Installs the hook that looks at every new partitioned index. From _PG_init: CREATE INDEX loads the
// library for its handler, so it runs before the first such index of a session is made.
void install_partitioned_index_check();

}  // namespace hnsw::pg
