// Scan keys become conditions on attribute keys.  Two kinds of scan key give several conditions' worth:
// an array argument (x = ANY (...)) and an order comparison of an enum, whose order is in the catalog.
// The alternatives are gathered as single keys if possible, else as the range that spans them all.
#include "pg/attribute_kinds.h"

namespace hnsw::pg {

namespace {

// An argument as seen from the column's keys: those of values less than it are at most `high`, of
// values greater than it at least `low`, of values equal to it within both.
struct ArgumentKey {
    uint64_t low = 0;
    uint64_t high = 0;
    bool exact = false;  // one key, and it stands for one value
};

bool keys_are_exact(KeySpace space) {
    return space == KeySpace::kInteger || space == KeySpace::kFloat;
}

// A clock reading with an unknown time zone: no zone is a day from UTC.
ArgumentKey within_a_day(TimestampTz at) {
    if (TIMESTAMP_NOT_FINITE(at))
        return {timestamp_key(at), timestamp_key(at), false};
    int64 low, high;
    if (pg_sub_s64_overflow(at, USECS_PER_DAY, &low))
        low = DT_NOBEGIN;
    if (pg_add_s64_overflow(at, USECS_PER_DAY, &high))
        high = DT_NOEND;
    return {timestamp_key(low), timestamp_key(high), false};
}

// Dates, timestamps and timestamptz compared with each other. Those without a zone are taken to be in
// the session's when compared with those that have one.
ArgumentKey time_argument(Oid column_type, Oid type, Datum value) {
    bool exact = true;
    Timestamp at = type == DATEOID ? timestamp_of_date(DatumGetDateADT(value), &exact)
                                   : DatumGetTimestamp(value);
    const bool column_has_zone = column_type == TIMESTAMPTZOID;
    const bool has_zone = type == TIMESTAMPTZOID;
    // Which reading of the column's clock is at that time is not certain when clocks are set back.
    if (has_zone && !column_has_zone)
        return within_a_day(at);
    if (column_has_zone && !has_zone && exact) {
        int overflow = 0;
        at = timestamp2timestamptz_opt_overflow(at, &overflow);
        exact = overflow == 0;
        if (overflow != 0)
            at = overflow > 0 ? DT_NOEND : DT_NOBEGIN;
    }
    return {timestamp_key(at), timestamp_key(at), exact};
}

ArgumentKey argument_key(const AttributeColumn &column, const AttributeKind &kind, Datum value) {
    if (kind.space == KeySpace::kTime)
        return time_argument(column.kind->type, kind.type, value);
    uint64_t key = kind.key(value, column);
    return {key, key, keys_are_exact(kind.space)};
}

bool holds(int strategy, float4 left, float4 right) {
    switch (strategy) {
        case kLessStrategy:
            return left < right;
        case kLessEqualStrategy:
            return left <= right;
        case kGreaterEqualStrategy:
            return left >= right;
        case kGreaterStrategy:
            return left > right;
        default:
            return left == right;
    }
}

// The alternatives of one scan key, any of which is enough.
class Alternatives {
public:
    Alternatives(const AttributeColumn &column, int strategy, std::pmr::vector<uint64_t> *keys)
        : column_(column), strategy_(strategy), keys_(keys) {}

    // `kind`: of the argument.
    void add(const AttributeKind &kind, Datum value) {
        switch (column_.kind->space) {
            case KeySpace::kEnum:
                add_labels(DatumGetObjectId(value));
                break;
            case KeySpace::kSignature:
                add_array(value);
                break;
            default:
                add_range(argument_key(column_, kind, value));
        }
    }

    // False: there are none, so that no row meets the scan key.
    bool finish(core::Condition *out) {
        using Kind = core::Condition::Kind;
        std::sort(keys_->begin(), keys_->end());
        keys_->erase(std::unique(keys_->begin(), keys_->end()), keys_->end());
        out->keys = *keys_;
        if (column_.kind->space == KeySpace::kSignature) {
            if (!keys_->empty() && keys_->front() == 0)
                out->kind = Kind::kIsNotNull;  // contains nothing in particular
            else if (keys_->size() == 1)
                out->kind = Kind::kAllBits;
            else
                out->kind = Kind::kAnyBits;
            out->low = keys_->empty() ? 0 : keys_->front();
            return !keys_->empty();
        }
        if (ranges_) {
            out->kind = Kind::kRange;
            out->low = low_;
            out->high = high_;
            return low_ <= high_;
        }
        if (keys_->empty())
            return false;
        out->kind = keys_->size() == 1 ? Kind::kRange : Kind::kAnyOf;
        out->low = keys_->front();
        out->high = keys_->back();
        return true;
    }

private:
    void add_range(const ArgumentKey &argument) {
        uint64_t low = 0, high = ~uint64_t{0};
        switch (strategy_) {
            case kLessStrategy:
                if (argument.exact && argument.high == 0)
                    return;
                high = argument.exact ? argument.high - 1 : argument.high;
                break;
            case kLessEqualStrategy:
                high = argument.high;
                break;
            case kEqualStrategy:
                low = argument.low;
                high = argument.high;
                break;
            case kGreaterEqualStrategy:
                low = argument.low;
                break;
            case kGreaterStrategy:
                if (argument.exact && argument.low == ~uint64_t{0})
                    return;
                low = argument.exact ? argument.low + 1 : argument.low;
                break;
        }
        if (low == high && !ranges_)
            keys_->push_back(low);
        else
            ranges_ = true;
        low_ = std::min(low_, low);
        high_ = std::max(high_, high);
    }

    // The labels of the enum that compare with `label` as the strategy says.
    void add_labels(Oid label) {
        if (strategy_ == kEqualStrategy) {
            keys_->push_back(label);
            return;
        }
        // A label that another session has added may be in rows this statement sees; without a new
        // lock the caches would not know of it.
        AcceptInvalidationMessages();
        HeapTuple tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(label));
        if (!HeapTupleIsValid(tuple))
            ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
                            errmsg("invalid internal value for enum: %u", label)));
        auto *form = reinterpret_cast<Form_pg_enum>(GETSTRUCT(tuple));
        const Oid type = form->enumtypid;
        const float4 order = form->enumsortorder;
        ReleaseSysCache(tuple);
        CatCList *labels = SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(type));
        for (int i = 0; i < labels->n_members; i++) {
            auto *other = reinterpret_cast<Form_pg_enum>(GETSTRUCT(&labels->members[i]->tuple));
            if (holds(strategy_, other->enumsortorder, order))
                keys_->push_back(other->oid);
        }
        ReleaseCatCacheList(labels);
    }

    void add_array(Datum array) {
        bool contains = strategy_ == kContainsStrategy;
        uint64_t all = 0;
        bool possible = true;
        for_each_element(array, [&](Datum element, bool isnull) {
            // A NULL element overlaps nothing and is contained in nothing.
            if (isnull)
                possible = possible && !contains;
            else if (contains)
                all |= element_bits(column_, element);
            else
                keys_->push_back(element_bits(column_, element));
        });
        if (contains && possible)
            keys_->push_back(all);
    }

    const AttributeColumn &column_;
    const int strategy_;
    std::pmr::vector<uint64_t> *keys_;
    bool ranges_ = false;
    uint64_t low_ = ~uint64_t{0};
    uint64_t high_ = 0;
};

enum class Outcome { kCondition, kNoCondition, kNoRow };

Outcome make_condition(const ScanKeyData &key, const AttributeColumn &column,
                       std::pmr::vector<uint64_t> *keys, core::Condition *out) {
    if ((key.sk_flags & SK_SEARCHNULL) != 0) {
        out->kind = core::Condition::Kind::kIsNull;
        return Outcome::kCondition;
    }
    if ((key.sk_flags & SK_SEARCHNOTNULL) != 0) {
        out->kind = core::Condition::Kind::kIsNotNull;
        return Outcome::kCondition;
    }
    // The operators are strict.
    if ((key.sk_flags & SK_ISNULL) != 0)
        return Outcome::kNoRow;
    const AttributeKind *kind =
        OidIsValid(key.sk_subtype) ? find_attribute_kind(key.sk_subtype) : column.kind;
    // An operator somebody has added to a family: left to the test of the row.
    if (kind == nullptr || kind->space != column.kind->space ||
        !attribute_kind_has_strategy(*column.kind, key.sk_strategy))
        return Outcome::kNoCondition;
    Alternatives alternatives(column, key.sk_strategy, keys);
    if ((key.sk_flags & SK_SEARCHARRAY) != 0)
        for_each_element(key.sk_argument, [&](Datum element, bool isnull) {
            if (!isnull)
                alternatives.add(*kind, element);
        });
    else
        alternatives.add(*kind, key.sk_argument);
    return alternatives.finish(out) ? Outcome::kCondition : Outcome::kNoRow;
}

}  // namespace

ScanConditions AttributeColumns::conditions_of(std::span<const ScanKeyData> keys,
                                               MemoryContext context) const {
    MemoryContext caller = MemoryContextSwitchTo(context);
    auto *memory = create_in_context<McxtResource>(context, context);
    auto *conditions = create_in_context<std::pmr::vector<core::Condition>>(context, memory);
    ScanConditions result;
    for (const ScanKeyData &key : keys) {
        if (key.sk_attno == 1) {
            result.vector_set |= (key.sk_flags & SK_SEARCHNOTNULL) != 0;
            continue;
        }
        auto attribute = static_cast<uint8_t>(key.sk_attno - 2);
        Assert(attribute < count_);
        core::Condition condition;
        condition.attribute = attribute;
        auto *list = create_in_context<std::pmr::vector<uint64_t>>(context, memory);
        Outcome outcome = make_condition(key, columns_[attribute], list, &condition);
        if (outcome == Outcome::kCondition)
            conditions->push_back(condition);
        result.none |= outcome == Outcome::kNoRow;
    }
    result.conditions = *conditions;
    MemoryContextSwitchTo(caller);
    return result;
}

}  // namespace hnsw::pg
