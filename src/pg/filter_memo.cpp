// The filter a session used last. Page changes are logged while the pages are locked, and a pass over the
// directory locks each page: if the end of the WAL is where it was before the pass, no page has changed.
// If it is not, the pages' LSNs tell which have; those of another file of the same index tell nothing.
#include "pg/filter_memo.h"

#include "pg/memory.h"

namespace hnsw::pg {

namespace {

// Longer lists are not compared.
constexpr size_t kMostKeys = 64;

// Indexes of which it is known how searches have gone.
constexpr Oid kExperiences = 32;

struct SessionMemo {
    explicit SessionMemo(MemoryContext context)
        : memory(context), matches(&memory), conditions(&memory), described(&memory) {}

    McxtResource memory;
    core::MatchMemo matches;
    Oid index = InvalidOid;
    FileNumber file = InvalidOid;
    XLogRecPtr written = InvalidXLogRecPtr;  // the end of the WAL before `matches` was looked at
    std::pmr::vector<uint64_t> conditions;
    std::pmr::vector<uint64_t> described;  // scratch
};

SessionMemo *session_memo = nullptr;

SessionMemo &memo_of_session() {
    if (session_memo == nullptr) {
        MemoryContext context =
            AllocSetContextCreate(TopMemoryContext, "hnsw filter memo", ALLOCSET_DEFAULT_SIZES);
        session_memo = create_in_context<SessionMemo>(context, context);
    }
    return *session_memo;
}

bool is_short(std::span<const core::Condition> conditions) {
    size_t keys = 0;
    for (const core::Condition &condition : conditions)
        keys += condition.keys.size();
    return keys <= kMostKeys;
}

void describe(std::span<const core::Condition> conditions, std::pmr::vector<uint64_t> &out) {
    out.clear();
    for (const core::Condition &condition : conditions) {
        out.push_back(static_cast<uint64_t>(condition.kind) | uint64_t{condition.attribute} << 8 |
                      uint64_t{condition.keys.size()} << 16);
        out.push_back(condition.low);
        out.push_back(condition.high);
        out.insert(out.end(), condition.keys.begin(), condition.keys.end());
    }
}

}  // namespace

core::MatchMemo *filter_memo(Relation index, std::span<const core::Condition> conditions) {
    if (conditions.empty() || !is_short(conditions) || !RelationNeedsWAL(index))
        return nullptr;
    SessionMemo &memo = memo_of_session();
    const XLogRecPtr written = RecoveryInProgress() ? InvalidXLogRecPtr : GetXLogInsertRecPtr();
    describe(conditions, memo.described);
    if (memo.index != RelationGetRelid(index) || memo.file != file_number_of(index) ||
        memo.conditions != memo.described) {
        memo.matches.reset();
        memo.index = RelationGetRelid(index);
        memo.file = file_number_of(index);
        std::swap(memo.conditions, memo.described);
    }
    if (memo.written != written || written == InvalidXLogRecPtr)
        memo.matches.current = false;
    memo.written = written;
    return &memo.matches;
}

core::Experience *filter_experience(Relation index) {
    static struct {
        Oid index;
        core::Experience experience;
    } slots[kExperiences];
    auto &slot = slots[RelationGetRelid(index) % kExperiences];
    if (slot.index != RelationGetRelid(index))
        slot = {.index = RelationGetRelid(index), .experience = {}};
    return &slot.experience;
}

}  // namespace hnsw::pg
