// What a session remembers of the filter it used last, for statements that ask with the same conditions
// and another vector.
#pragma once

#include <span>

#include "core/filter.h"
#include "core/match_memo.h"
#include "pg/pg.h"

namespace hnsw::pg {

// The memo for conditions on attributes of `index`, empty if it was about something else, or if anything
// was written to the WAL since: then the index may have changed. Null if nothing can be remembered: no
// conditions, long lists, an index whose changes are not logged, a server in recovery. Valid until the
// session ends; the next call may reset it.
core::MatchMemo *filter_memo(Relation index, std::span<const core::Condition> conditions);

}  // namespace hnsw::pg
