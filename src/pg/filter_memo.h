// What a session remembers of its filtered searches: of the filter it used last, for statements that ask
// with the same conditions and another vector; and how searches of an index have gone.
#pragma once

#include <span>

#include "core/chooser.h"
#include "core/filter.h"
#include "core/match_memo.h"
#include "pg/pg.h"

namespace hnsw::pg {

// The memo for conditions on attributes of `index`, empty if it was about something else, and not
// current if anything was written to the WAL since: then the index may have changed. Null if nothing can
// be remembered: no conditions, long lists, an index whose changes are not logged. Valid until the
// session ends; the next call may reset it.
core::MatchMemo *filter_memo(Relation index, std::span<const core::Condition> conditions);

// What the session's searches of `index` have shown, for the scans it begins: of the few indexes used
// last. Valid until the session ends; it may be about another index by then.
core::Experience *filter_experience(Relation index);

}  // namespace hnsw::pg
