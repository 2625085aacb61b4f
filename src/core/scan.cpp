/* The ordered scan. scan.h has the phases. */
#include "core/scan_impl.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>

#include "core/posting.h"

namespace hnsw::core {

namespace {

/* A beam is not made wider on account of rows that fail for less than this. */
constexpr double kLeastWidening = 1.1;

/* Near the edge of a beam nodes are missing: estimates of theirs were beyond it. The first beam is wider
 * than ef_search asks on that account; of one that was widened because rows failed, this part leaves. */
constexpr double kSettledPart = 0.8;

/* How many times as wide a beam of the plain scan becomes, at least and at most. */
constexpr double kLeastPlainGrowth = 1.5;
constexpr double kMostPlainGrowth = 2;

/* Marks of dead rows are written when this many have gathered. */
constexpr size_t kKillBatch = 256;

/* A chain that VACUUM shortens while it is read is read again, at most this often: it shortens a chain
 * some dozens of chunks at a time. */
constexpr uint32_t kChainAttempts = 1000;

}  // namespace

void Scan::Impl::begin(const float *value) {
    flush_kills();
    results.clear();
    tids.clear();
    next_tid = 0;
    rows.clear();
    next_row = 0;
    first_beam = true;
    stopping = false;
    visited_after_first = 0;
    handed_out = 0;
    failed = 0;
    last_bound = -std::numeric_limits<double>::infinity();
    horizon = last_bound;
    last = {};
    null_query = value == nullptr;
    report = {};
    filtered = !options.filter.empty() && options.strategy != Strategy::kPostFilter;
    index.refresh();
    reach.begin(null_query ? 0 : reach_factor(), beam_width(options.ef));
    reach_ended = false;
    if (null_query) {
        /* Every distance is NULL: any order will do. */
        graph.visited().reset(0, options.memory_limit);
        if (filtered)
            begin_filtered();
        else
            start_exact();
        return;
    }
    index.space().prepare(value, &query);
    graph.begin(query);
    phase = Phase::kGraph;
    if (filtered) {
        begin_filtered();
    } else if (options.strategy == Strategy::kExact) {
        graph.visited().reset(0, options.memory_limit);
        start_exact();
    } else {
        graph.descend(0);
        const size_t width = beam_width(options.ef);
        const size_t room = options.strategy == Strategy::kPostFilter ? beam_width_for(0) : width;
        /* Where the caller does not wait for so many rows, one found late would be out of order. */
        graph.start_base(options.wanted != 0 ? width : room, room,
                         options.memory_limit / kVisitedShare);
        if (reach.used())
            graph.beam().expect_reach();
    }
}

/* The width of the beam that does what ef_search promises. */
size_t Scan::Impl::beam_width(uint32_t ef) const {
    return index.space().has_codes() ? estimated_beam_width(ef, index.meta().beam_factor) : ef;
}

/* What stands for that width where all rows near the value will do, and ten of them are most asked for. */
float Scan::Impl::reach_factor() const {
    if (filtered || options.wanted != 0 || options.strategy != Strategy::kAuto)
        return 0;
    return Reach::factor(index.meta().reach, beam_width(options.ef), beam_width(kMeasuredEf));
}

/* The same for rows of which `share` pass. */
size_t Scan::Impl::beam_width_for(double share) const {
    return static_cast<size_t>(filtered_width(static_cast<double>(beam_width(options.ef)), share));
}

void Scan::Impl::visit(NodeId id, const RecordView &record, float distance) {
    if (!first_beam)
        visited_after_first++;
    shown++;
    if (!has_row(record.head()))
        return;
    add_result(result_of(id, record, distance));
    if (reach.used() && reach.found(distance) && !peeking)
        reach.apply_to(&graph.beam());
}

bool Scan::Impl::has_row(const RecordHeader &head) const {
    return head.state == RecordState::kLive &&
           (head.posting != kNoNode ||
            (head.tid.tid().valid() && !(options.skip_dead && head.tid.dead())));
}

Scan::Impl::Result Scan::Impl::result_of(NodeId id, const RecordView &record,
                                         float distance) const {
    const RecordHeader &head = record.head();
    return {.bound = null_query ? 0 : index.space().lower_bound(query, sq8_of(record), distance),
            .id = id,
            .generation = head.generation,
            .posting = head.posting,
            .tid_changes = head.tid_changes,
            .tid = head.tid,
            .distance = distance};
}

void Scan::Impl::add_result(const Result &result) {
    results.push_back(result);
    std::push_heap(results.begin(), results.end(), Farther{});
}

bool Scan::Impl::over_memory() const {
    return results.size() * sizeof(Result) + graph.beam().bytes() + graph.passing().bytes() +
               graph.visited().bytes() + (filtered && way == Way::kWalk ? walk.bytes() : 0) >
           options.memory_limit;
}

size_t Scan::Impl::peek(std::span<HeapTid> out) {
    if (phase != Phase::kGraph || filtered || !first_beam)
        return 0;
    Beam &beam = graph.beam();
    const size_t width = beam.width();
    /* Some nodes have no row, and some are in the beam more than once. */
    beam.widen(std::min(width, out.size() * 3 / 2));
    peeking = true;
    graph.run_base(*this);
    peeking = false;
    beam.widen(width);
    /* In this order they are a heap still. */
    std::sort(results.begin(), results.end(),
              [](const Result &a, const Result &b) { return a.bound < b.bound; });
    size_t count = 0;
    for (const Result &result : results) {
        if (count == out.size())
            break;
        if (result.tid.tid().valid())
            out[count++] = result.tid.tid();
    }
    return count;
}

bool Scan::Impl::next(ScanRow *row) {
    for (;;) {
        switch (phase) {
            case Phase::kGraph:
                if (next_of_graph(row))
                    return true;
                break;
            case Phase::kExact:
                if (next_of_exact(row))
                    return true;
                start_zero_list();
                break;
            case Phase::kZero:
                if (next_of_list(row, null_query ? ScanRow::Kind::kNull : ScanRow::Kind::kNan))
                    return true;
                start_list(false);
                phase = Phase::kNull;
                break;
            case Phase::kNull:
                if (next_of_list(row, ScanRow::Kind::kNull))
                    return true;
                phase = Phase::kDone;
                break;
            case Phase::kDone:
                return false;
        }
    }
}

size_t Scan::Impl::look_ahead(std::span<HeapTid, kLookAhead> out) const {
    if (phase != Phase::kGraph || results.empty())
        return 0;
    /* Places in the heap whose parents have been taken. */
    size_t open[kLookAhead + 1] = {0};
    size_t opened = 1;
    size_t count = 0;
    for (size_t taken = 0; taken < kLookAhead && opened > 0; taken++) {
        size_t *nearest = std::min_element(open, open + opened, [&](size_t a, size_t b) {
            return results[a].bound < results[b].bound;
        });
        const size_t at = *nearest;
        *nearest = open[--opened];
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < results.size(); child++)
            open[opened++] = child;
        if (results[at].tid.tid().valid())
            out[count++] = results[at].tid.tid();
    }
    return count;
}

/* ---- Graph ------------------------------------------------------------------------------------ */

bool Scan::Impl::next_of_graph(ScanRow *row) {
    for (;;) {
        if (emit(row))
            return true;
        if (!filtered && failed > 0)
            widen_for_failing();
        if (!results.empty() && results.front().bound <= horizon) {
            std::pop_heap(results.begin(), results.end(), Farther{});
            Result nearest = results.back();
            results.pop_back();
            if (!filtered || may_leave(nearest))
                take_rows(nearest);
            continue;
        }
        if (!(filtered ? more_of_filtered() : more_of_graph()))
            return false;
    }
}

/* Of the rows handed out, the share that has not failed; of none it is one. */
double Scan::Impl::passed_share() const { return (handed_out - failed + 1) / (handed_out + 1); }

/* Makes the first beam as wide as a search needs of whose rows so many fail. */
void Scan::Impl::widen_for_failing() {
    Beam &beam = graph.beam();
    const size_t width = beam_width_for(passed_share());
    const double least = kLeastWidening * static_cast<double>(beam.width());
    if (std::isinf(horizon) || static_cast<double>(width) < least)
        return;
    beam.widen(width);
    graph.run_base(*this);
    horizon = index.space().operator_value(query, beam.horizon());
}

/* How many times as wide the next beam is: by what is missing, if the caller says what it wants. Where no
 * rows fail, the first beam mostly lacks a row or two, which prove the order of those before; if the
 * second lacks rows as well, many are wanted. */
double Scan::Impl::growth() const {
    if (options.wanted == 0 || failed == 0)
        return visited_after_first == 0 ? kLeastPlainGrowth : kMostPlainGrowth;
    const double missing = std::max(1.0, options.wanted - (handed_out - failed));
    return std::clamp(1 + missing / passed_share() / handed_out, kLeastPlainGrowth,
                      kMostPlainGrowth);
}

/* Runs the next beam and moves the horizon, or changes phase and returns false. */
bool Scan::Impl::more_of_graph() {
    if (stopping) {
        phase = Phase::kDone;
        return false;
    }
    if (!first_beam) {
        if (graph.beam().exhausted() || over_memory()) {
            start_exact();
            return false;
        }
        const double width = growth() * static_cast<double>(graph.beam().width());
        graph.beam().widen(static_cast<size_t>(std::ceil(width)));
        context.stats->resumes++;
    } else if (reach_ended) {
        /* More rows are wanted than the reach was measured for: as many as the width is good for. */
        reach.begin(0, 0);
        graph.beam().drop_reach();
    } else {
        reach.apply_to(&graph.beam());
    }
    graph.run_base(*this);
    if (graph.beam().has_reach()) {
        reach_ended = true;
        horizon = index.space().operator_value(query, reach.settled());
        return true;
    }
    if (graph.beam().keeps())
        graph.beam().drop_reach();
    first_beam = false;
    /* Beyond the beam's bound nodes may be missing still. */
    horizon =
        index.space().operator_value(query, graph.beam().horizon(failed > 0 ? kSettledPart : 1));
    bool enough = options.iterative == Iterative::kOff || visited_after_first >= options.max_tuples;
    if (enough) {
        stopping = true;
        if (options.iterative != Iterative::kOff)
            horizon = std::numeric_limits<double>::infinity();
    }
    return true;
}

/* Makes the rows of a node the next to be returned. */
void Scan::Impl::take_rows(const Result &result) {
    current = result;
    tids.clear();
    next_tid = 0;
    if (result.tid.tid().valid() && (!filtered || first_row_matches(result)))
        tids.push_back(result.tid);
    uint32_t chain = result.posting;
    for (uint32_t attempt = 0; attempt < kChainAttempts && chain != kNoNode; attempt++) {
        const size_t first = tids.size();
        attributes.clear();
        if (read_postings(index, result.id, result.generation, chain, tids,
                          filtered ? &attributes : nullptr)) {
            if (filtered)
                keep_meeting(options.filter, attributes, first, tids);
            return;
        }
        /* VACUUM has shortened the chain meanwhile; no row has moved. */
        index.store().poll();
        RecordRef record(index.store(), index.layouts(), RecordClass::kBase, context.memory);
        if (!record.read(result.id) || record.view().head().generation != result.generation)
            return;
        chain = record.view().head().posting;
    }
}

bool Scan::Impl::emit(ScanRow *row) {
    while (next_tid < tids.size()) {
        const StoredTid &stored = tids[next_tid++];
        if (!stored.tid().valid() || (options.skip_dead && stored.dead()))
            continue;
        row->tid = stored.tid();
        row->bound = current.bound;
        row->kind = null_query ? ScanRow::Kind::kNull : ScanRow::Kind::kBound;
        last = {current.id, current.generation, current.tid_changes, stored.tid()};
        note_order(current.bound);
        handed_out++;
        return true;
    }
    return false;
}

void Scan::Impl::note_order(double bound) {
    if (bound < last_bound)
        context.stats->late_rows++;
    else
        last_bound = bound;
}

/* ---- Exact pass ------------------------------------------------------------------------------- */

void Scan::Impl::put_rows(const Result &result) {
    take_rows(result);
    for (const StoredTid &stored : tids)
        if (stored.tid().valid() && !(options.skip_dead && stored.dead()))
            sorter.put(result.bound, stored.tid());
    tids.clear();
    next_tid = 0;
}

/* Everything not yet returned, in order: results in hand and all records never visited. */
void Scan::Impl::start_exact() {
    phase = Phase::kExact;
    last = {};
    sorter.begin();
    for (const Result &result : results)
        put_rows(result);
    results.clear();
    const IndexLayouts &layouts = index.layouts();
    RecordRef record(index.store(), layouts, RecordClass::kBase, context.memory);
    const BlockNo blocks = index.store().size();
    for (BlockNo block = kMetaBlock + 1; block < blocks; block++) {
        for (uint32_t slot = 0; slot < layouts.at(block).per_page; slot++) {
            const NodeId id = layouts.id_of(block, slot);
            if (graph.visited().contains(id) || !record.read(id))
                continue;
            context.stats->exact_pass_records++;
            const RecordView &view = record.view();
            if (view.head().centre < index.space().centre_count()) {
                visit(id, view, null_query ? 0 : index.space().distance(query, sq8_of(view)));
            }
            record.release();
        }
        for (const Result &result : results)
            put_rows(result);
        results.clear();
        index.store().poll();
    }
    sorter.sort();
}

bool Scan::Impl::next_of_exact(ScanRow *row) {
    if (!sorter.next(&row->bound, &row->tid))
        return false;
    row->kind = null_query ? ScanRow::Kind::kNull : ScanRow::Kind::kBound;
    note_order(row->bound);
    return true;
}

/* ---- TID lists -------------------------------------------------------------------------------- */

void Scan::Impl::start_zero_list() {
    phase = Phase::kZero;
    start_list(true);
}

void Scan::Impl::start_list(bool zero_list) {
    last = {};
    rows.clear();
    next_row = 0;
    PageRef meta(index.store(), kMetaBlock);
    const MetaPage &m = meta_of(meta.data());
    list_pages = 0;
    next_list_block = zero_list ? m.zero_rows.head : m.null_rows.head;
}

bool Scan::Impl::next_of_list(ScanRow *row, ScanRow::Kind kind) {
    for (;;) {
        while (next_row < rows.size()) {
            const StoredTid &stored = rows[next_row++];
            if (options.skip_dead && stored.dead())
                continue;
            if (filtered && options.filter.rows != nullptr &&
                !options.filter.rows->contains(stored.tid()))
                continue;
            *row = {.tid = stored.tid(), .bound = 0, .kind = kind};
            return true;
        }
        if (next_list_block >= index.store().size())
            return false;
        rows.clear();
        next_row = 0;
        index.store().poll();
        if (++list_pages > index.store().size())
            index.store().corrupt(next_list_block, "a TID list runs in a circle");
        PageRef page(index.store(), next_list_block);
        if (page_kind(page.data()) != PageKind::kTidList)
            index.store().corrupt(next_list_block, "not a TID list page");
        const auto *list = reinterpret_cast<const TidListPage *>(payload(page.data()));
        rows.assign(list->tids, list->tids + std::min(list->count, TidListPage::kTids));
        next_list_block = trailer(page.data()).next;
    }
}

/* ---- Dead rows -------------------------------------------------------------------------------- */

void Scan::Impl::kill_last() {
    if (last.tid.valid()) {
        kills.push_back(last);
        last = {};
    }
    if (kills.size() >= kKillBatch)
        flush_kills();
}

void Scan::Impl::flush_kills() {
    if (kills.empty())
        return;
    std::sort(kills.begin(), kills.end(), [](const Kill &a, const Kill &b) { return a.id < b.id; });
    RecordEdit edit(index.store(), index.layouts(), RecordClass::kBase, context.memory);
    for (size_t i = 0; i < kills.size();) {
        const Kill &first = kills[i];
        size_t end = i;
        while (end < kills.size() && kills[end].id == first.id)
            end++;
        /* Any change of the node's rows since they were read: a TID may name another row now. */
        if (edit.open(first.id) && edit.view().head().generation == first.generation &&
            edit.view().head().tid_changes == first.tid_changes)
            for (size_t k = i; k < end; k++)
                mark_dead(index, edit, first.id, kills[k].tid);
        edit.commit();
        i = end;
        index.store().poll();
    }
    kills.clear();
}

/* ---- Interface -------------------------------------------------------------------------------- */

Scan::Scan(Index &index, const Context &context, RowSorter &sorter) {
    std::pmr::polymorphic_allocator<> allocator(context.memory);
    impl_ = allocator.new_object<Impl>(index, context, sorter);
}

Scan::~Scan() {
    std::pmr::polymorphic_allocator<> allocator(impl_->context.memory);
    allocator.delete_object(impl_);
}

void Scan::begin(const float *value, const ScanOptions &options) {
    impl_->options = options;
    impl_->begin(value);
}

size_t Scan::peek(std::span<HeapTid> out) { return impl_->peek(out); }
bool Scan::next(ScanRow *row) { return impl_->next(row); }
size_t Scan::look_ahead(std::span<HeapTid, kLookAhead> out) const { return impl_->look_ahead(out); }
void Scan::fail_last() { impl_->failed++; }
void Scan::kill_last() { impl_->kill_last(); }
void Scan::flush_kills() { impl_->flush_kills(); }
const ScanReport &Scan::report() const { return impl_->report; }

}  // namespace hnsw::core
