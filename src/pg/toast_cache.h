// Vectors stored out of line, kept for a moment.  The executor computes the distance of a row when an
// ordered scan returns it and once more for the target list; reading 6 kB from a TOAST table costs many
// times the arithmetic.
#pragma once

#include "pg/pg.h"

namespace hnsw::pg {

// The value that `pointer`, a TOAST pointer to disk, stands for: as detoast_attr() makes it, perhaps
// made by an earlier call. It belongs to the cache and stays for the next kToastCacheEntries - 1 calls,
// at most until the end of the transaction. Raises what detoast_attr() raises.
varlena *fetch_toasted(varlena *pointer);

inline constexpr size_t kToastCacheEntries = 16;

}  // namespace hnsw::pg
