// Settings and storage parameters of the access method.
#include "pg/options.h"

#include "pg/pg.h"

namespace hnsw::pg {

void define_gucs() { MarkGUCPrefixReserved("hnsw"); }

}  // namespace hnsw::pg
