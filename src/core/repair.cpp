/* Local repair of links. repair.h says what for; docs/vacuum.md, "The link pass", how and why. */
#include "core/repair.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/flood.h"
#include "core/neighbours.h"

namespace hnsw::core {

namespace {

/* A record changed by somebody else while its repair was computed is repaired anew this often;
 * then its lost links are dropped without replacement. */
constexpr uint32_t kAttempts = 4;

/* Records one repair reads at most: where nearly everything is gone, the walk through what is left
 * of the dead ends here. */
constexpr uint32_t kMaxSteps = 4096;

/* New candidates for a node that lost few links: so many, and so many more for each link lost. */
constexpr uint32_t kFewCandidates = 6;
constexpr uint32_t kCandidatesPerLost = 2;

/* Links are followed until so many live records per candidate wanted are known by their estimates; the
 * nearest of them are read then.  Measured at 90 % dead: half of it costs 0.004 recall, twice of
 * it takes twice the time for 0.003. */
constexpr uint32_t kKnownPerWanted = 4;

/* Places tried for a node that nothing links to. */
constexpr uint32_t kAttachCandidates = 32;

constexpr size_t kVisitedBudget = size_t{4} << 20;

/* Nodes that nothing links to are linked; a link may turn out to be needed elsewhere (readers and
 * writers go on), so look again this often. */
constexpr uint32_t kFloodRounds = 3;

/* For heaps with the farthest on top, and with the nearest on top. */
bool farther(float a, float b) { return a < b; }
constexpr auto later = [](const auto &a, const auto &b) { return a.distance > b.distance; };

/* The part of a record that a repair changes, count apart: ids, factors, codes. */
size_t links_offset(const RecordLayout &layout) { return layout.id_offset; }
size_t links_bytes(const RecordLayout &layout) { return layout.bytes - layout.id_offset; }

/* Whether the links of two images of a record are the same. */
bool same_links(const RecordView &a, const RecordView &b) {
    const RecordHeader &x = a.head();
    const RecordHeader &y = b.head();
    return x.state == y.state && x.generation == y.generation && x.count == y.count &&
           std::memcmp(a.bytes + links_offset(*a.layout), b.bytes + links_offset(*b.layout),
                       links_bytes(*a.layout)) == 0;
}

void copy_links(const RecordImage &to, const RecordView &from) {
    to.head().count = from.head().count;
    std::memcpy(to.bytes + links_offset(*to.layout), from.bytes + links_offset(*from.layout),
                links_bytes(*from.layout));
}

void clear_slot(const RecordImage &record, uint32_t slot) { record.ids()[slot] = kNoNode; }

}  // namespace

Repairer::Repairer(Index &index, const Context &context, const AddressSet &live_base,
                   const AddressSet &live_upper)
    : index_(index),
      context_(context),
      live_base_(live_base),
      live_upper_(live_upper),
      width_(2 * std::max<uint32_t>(index.meta().ef_construction, 2 * index.layouts().usual.slots)),
      slots_(context.memory),
      before_(context.memory),
      after_(context.memory),
      query_(context.memory),
      base_(index.store(), index.layouts(), RecordClass::kBase, context.memory),
      upper_(index.store(), index.layouts(), RecordClass::kUpper, context.memory),
      seen_(context.memory),
      read_(context.memory),
      open_(context.memory),
      nearest_(context.memory),
      candidates_(context.memory),
      vectors_(context.memory),
      found_(context.memory),
      estimates_(context.memory),
      distances_(context.memory),
      chosen_(context.memory) {
    estimates_.resize(index.layouts().usual.slots);
}

/* ---- Pages ------------------------------------------------------------------------------------ */

bool Repairer::damaged(const RecordView &view, RecordClass cls) const {
    if (view.head().state != RecordState::kLive)
        return false;
    const NodeId *ids = view.ids();
    for (uint32_t i = 0; i < view.count(); i++)
        if (gone(cls, ids[i]))
            return true;
    return false;
}

/* Fills slots_, before_ and after_ with the damaged records of a page. */
void Repairer::copy_damaged(BlockNo block, RecordClass cls) {
    const RecordLayout &layout = index_.layouts().at(block);
    slots_.clear();
    before_.clear();
    auto copy = [&](uint32_t slot, const RecordView &view) {
        if (!damaged(view, cls))
            return;
        slots_.push_back(slot);
        before_.insert(before_.end(), view.bytes, view.bytes + layout.bytes);
    };
    if (layout.parts > 1) {
        RecordRef &record = cls == RecordClass::kBase ? base_ : upper_;
        if (record.read(index_.layouts().id_of(block, 0)))
            copy(0, record.view());
    } else {
        PageRef page(index_.store(), block);
        if (page_kind(page.data()) == page_kind_of(cls))
            for (uint32_t slot = 0; slot < layout.per_page; slot++)
                copy(slot, {record_in_page(page.data(), layout, slot), &layout});
    }
    after_.assign(before_.begin(), before_.end());
}

uint32_t Repairer::repair_page(BlockNo block, RecordClass cls) {
    const IndexLayouts &layouts = index_.layouts();
    const RecordLayout &layout = layouts.at(block);
    uint32_t changed = 0;
    for (uint32_t attempt = 0; attempt < kAttempts; attempt++) {
        copy_damaged(block, cls);
        if (slots_.empty())
            return changed;
        bool known_centres = true;
        for (size_t i = 0; i < slots_.size(); i++) {
            RecordImage record{&after_[i * layout.bytes], &layout};
            if (record.head().centre >= index_.space().centre_count())
                known_centres = false;
            else
                rebuild(record, layouts.id_of(block, slots_[i]), cls);
            index_.store().poll();
        }
        if (known_centres)
            changed += apply(block, cls);
        else
            index_.refresh();
    }
    drop_links(block, cls);
    return changed;
}

/* Puts the repaired records in their place unless their links have changed since they were copied.
 * Returns how many it put. */
uint32_t Repairer::apply(BlockNo block, RecordClass cls) {
    const IndexLayouts &layouts = index_.layouts();
    const RecordLayout &layout = layouts.at(block);
    if (layout.parts > 1) {
        RecordEdit edit(index_.store(), layouts, cls, context_.memory);
        if (!edit.open(layouts.id_of(block, 0)) ||
            !same_links(edit.view(), {before_.data(), &layout}))
            return 0;
        copy_links(edit.image(), {after_.data(), &layout});
        edit.commit();
        return 1;
    }
    PageTxn txn(index_.store());
    const std::byte *page = txn.latch(block);
    uint32_t changed = 0;
    for (size_t i = 0; i < slots_.size(); i++) {
        const size_t at = i * layout.bytes;
        if (!same_links({record_in_page(page, layout, slots_[i]), &layout},
                        {&before_[at], &layout}))
            continue;
        std::byte *image = txn.modify(block);
        copy_links({record_in_page(image, layout, slots_[i]), &layout}, {&after_[at], &layout});
        page = image;
        changed++;
    }
    txn.commit();
    return changed;
}

/* Takes lost links out, without replacement, under the latch. */
void Repairer::drop_links(BlockNo block, RecordClass cls) {
    const IndexLayouts &layouts = index_.layouts();
    RecordEdit edit(index_.store(), layouts, cls, context_.memory);
    for (uint32_t slot = 0; slot < layouts.at(block).per_page; slot++) {
        if (!edit.open(layouts.id_of(block, slot)))
            continue;
        if (damaged(edit.view(), cls)) {
            RecordImage record = edit.image();
            uint32_t count = record.view().count();
            for (uint32_t i = count; i-- > 0;) {
                if (!gone(cls, record.ids()[i]))
                    continue;
                copy_slot(record, i, record.view(), --count);
                clear_slot(record, count);
            }
            record.head().count = static_cast<uint8_t>(count);
            edit.commit();
        }
        edit.close();
    }
}

/* ---- Candidates ------------------------------------------------------------------------------- */

Sq8 Repairer::sq8(const Candidate &c) const {
    return {.x = &vectors_[size_t{c.vector} * index_.space().padded()],
            .scale = c.scale,
            .norm = c.norm,
            .error = 0,
            .centre = c.centre};
}

/* Reads a record of the layer under repair. */
bool Repairer::read(NodeId id) {
    RecordRef &record = cls_ == RecordClass::kBase ? base_ : upper_;
    context_.stats->records_read++;
    if (!record.read(id))
        return false;
    const RecordHeader &head = record.view().head();
    if (head.centre < index_.space().centre_count() &&
        (cls_ == RecordClass::kBase || head.level == level_))
        return true;
    record.release();
    return false;
}

/* Adds a live record to the candidates. */
void Repairer::take(NodeId id, const RecordView &view, float distance, int32_t slot) {
    const uint32_t padded = index_.space().padded();
    const RecordHeader &head = view.head();
    const auto at = static_cast<uint32_t>(candidates_.size());
    if (vectors_.size() < size_t{at + 1} * padded)
        vectors_.resize(std::max(vectors_.size() * 2, size_t{at + 1} * padded));
    std::memcpy(&vectors_[size_t{at} * padded], view.own(), padded);
    candidates_.push_back({distance, id, slot, at, head.scale, head.norm, head.centre});
}

/* Makes the links of a record candidates to be read. keep_nearest: the live one of them that is nearest
 * to the record is read in any case, however far: a lost long edge is replaced by a long edge. */
void Repairer::expand(const RecordView &view, float own, bool keep_nearest) {
    const Space &space = index_.space();
    const uint32_t n = view.count();
    const NodeId *ids = view.ids();
    if (space.has_codes())
        space.estimate(query_, view, own, estimates_.data());
    else
        std::fill_n(estimates_.begin(), n, own);
    context_.stats->estimates += n;
    Open nearest{std::numeric_limits<float>::infinity(), kNoNode};
    for (uint32_t i = 0; i < n; i++) {
        if (ids[i] >= addresses_)
            continue;
        const bool lost = gone(cls_, ids[i]);
        if (seen_.insert(ids[i])) {
            open_.push_back({estimates_[i], ids[i]});
            std::push_heap(open_.begin(), open_.end(), later);
            live_known_ += !lost;
        }
        if (!lost && estimates_[i] < nearest.distance)
            nearest = {estimates_[i], ids[i]};
    }
    if (keep_nearest && nearest.id != kNoNode)
        nearest_.push_back(nearest.id);
}

/*
 * Reads records in the order of their estimates until `wanted` live ones are found and none nearer
 * is known of; walks on through the dead and, if `wide`, through the live.  `only`: the live ones
 * that count.
 */
void Repairer::search(uint32_t wanted, bool wide, const AddressSet *only) {
    RecordRef &record = cls_ == RecordClass::kBase ? base_ : upper_;
    found_.clear();
    for (uint32_t steps = 0; !open_.empty() && steps < kMaxSteps; steps++) {
        const Open next = open_.front();
        if (found_.size() == wanted && next.distance > found_.front())
            return;
        std::pop_heap(open_.begin(), open_.end(), later);
        open_.pop_back();
        const bool look_on = only != nullptr || live_known_ < kKnownPerWanted * wanted;
        if (!look_on && gone(cls_, next.id))
            continue;
        if (!read_.insert(next.id) || !read(next.id))
            continue;
        const RecordView &view = record.view();
        const float distance = index_.space().distance(query_, sq8_of(view));
        context_.stats->distances++;
        const bool live = view.head().state == RecordState::kLive;
        if (live && (only == nullptr || only->contains(next.id))) {
            take(next.id, view, distance, -1);
            found_.push_back(distance);
            std::push_heap(found_.begin(), found_.end(), farther);
            if (found_.size() > wanted) {
                std::pop_heap(found_.begin(), found_.end(), farther);
                found_.pop_back();
            }
        }
        if (look_on && (wide || !live))
            expand(view, distance, false);
        record.release();
        if (steps % 64 == 63)
            index_.store().poll();
    }
}

/* ---- One record ------------------------------------------------------------------------------- */

/* Prepares the search for candidates of a record. */
void Repairer::start(NodeId self, const RecordView &view) {
    index_.space().prepare_from(sq8_of(view), &query_);
    addresses_ = index_.layouts().addresses(index_.store().size());
    seen_.reset(addresses_, kVisitedBudget);
    read_.reset(addresses_, kVisitedBudget);
    open_.clear();
    nearest_.clear();
    candidates_.clear();
    live_known_ = 0;
    seen_.insert(self);
    read_.insert(self);
    for (uint32_t i = 0; i < view.count(); i++)
        if (view.ids()[i] < addresses_)
            seen_.insert(view.ids()[i]);
}

/* Gives a copy of a damaged record new links. */
void Repairer::rebuild(const RecordImage &image, NodeId self, RecordClass cls) {
    const RecordView view = image.view();
    const Space &space = index_.space();
    RecordRef &record = cls == RecordClass::kBase ? base_ : upper_;
    const uint32_t n = view.count();
    const uint32_t slots = view.layout->slots;
    cls_ = cls;
    level_ = view.head().level;
    start(self, view);

    uint32_t lost = 0;
    for (uint32_t i = 0; i < n; i++) {
        const NodeId id = view.ids()[i];
        if (id >= addresses_ || !read_.insert(id) || !read(id)) {
            lost++; /* freed, or named twice */
            continue;
        }
        const RecordView &neighbour = record.view();
        const float distance = space.distance(query_, sq8_of(neighbour));
        context_.stats->distances++;
        if (neighbour.head().state == RecordState::kLive) {
            /* Live also if it was not when VACUUM looked: the slot has been filled since, and
             * no older link can name a slot that may be filled. */
            take(id, neighbour, distance, static_cast<int32_t>(i));
        } else {
            lost++;
            expand(neighbour, distance, true);
        }
        record.release();
    }

    const bool wide = lost * 4 > n;
    const auto kept = static_cast<uint32_t>(candidates_.size());
    search(wide ? width_ * lost / n : kFewCandidates + kCandidatesPerLost * lost, wide, nullptr);
    for (NodeId id : nearest_) {
        if (!read_.insert(id) || !read(id))
            continue;
        const RecordView &found = record.view();
        if (found.head().state == RecordState::kLive)
            take(id, found, space.distance(query_, sq8_of(found)), -1);
        record.release();
    }
    auto nearer = [](const Candidate &a, const Candidate &b) { return a.distance < b.distance; };
    const uint32_t stay = wide ? 0 : kept;
    std::sort(candidates_.begin() + stay, candidates_.end(), nearer);
    distances_.clear();
    for (const Candidate &c : candidates_)
        distances_.push_back(c.distance);
    select_neighbours(
        space.metric(), distances_.data(), static_cast<uint32_t>(candidates_.size()), slots,
        [&](uint32_t i, uint32_t j) {
            return space.between(sq8(candidates_[i]), sq8(candidates_[j]), query_.unit);
        },
        chosen_, stay);
    write_links(image, slots);
}

/* Makes the chosen candidates the links of a record. Links that stay keep their slot where they
 * can, so that little of the page changes. */
void Repairer::write_links(const RecordImage &record, uint32_t slots) {
    const auto total = static_cast<uint32_t>(std::min<size_t>(chosen_.size(), slots));
    const uint32_t before = record.view().count();
    /* For each slot of the new list whether a link that stays has it. */
    std::pmr::vector<bool> taken(total, false, context_.memory);
    for (uint32_t c : chosen_)
        if (candidates_[c].slot >= 0 && static_cast<uint32_t>(candidates_[c].slot) < total)
            taken[static_cast<uint32_t>(candidates_[c].slot)] = true;
    uint32_t hole = 0;
    auto next_hole = [&] {
        while (taken[hole])
            hole++;
        return hole++;
    };
    for (uint32_t c : chosen_)
        if (candidates_[c].slot >= static_cast<int32_t>(total))
            copy_slot(record, next_hole(), record.view(),
                      static_cast<uint32_t>(candidates_[c].slot));
    for (uint32_t c : chosen_) {
        if (candidates_[c].slot >= 0)
            continue;
        uint32_t slot = next_hole();
        record.ids()[slot] = candidates_[c].id;
        if (index_.space().has_codes())
            index_.space().encode_edge(record, sq8(candidates_[c]), slot);
    }
    for (uint32_t slot = total; slot < before; slot++)
        clear_slot(record, slot);
    record.head().count = static_cast<uint8_t>(total);
}

/* ---- Nodes that nothing links to -------------------------------------------------------------- */

bool Repairer::attach(NodeId id, const AddressSet &reached) {
    cls_ = RecordClass::kBase;
    level_ = 0;
    if (!read(id))
        return false;
    const RecordView &view = base_.view();
    if (view.head().state != RecordState::kLive)
        return false;
    start(id, view);
    take(id, view, 0, -1);
    expand(view, 0, false);
    for (uint32_t i = 0; i < view.count(); i++)
        if (view.ids()[i] < addresses_)
            open_.push_back({index_.space().has_codes() ? estimates_[i] : 0, view.ids()[i]});
    std::make_heap(open_.begin(), open_.end(), later);
    base_.release();
    search(kAttachCandidates, true, &reached);
    if (candidates_.size() == 1) {
        /* Nothing it links to is reached: come from the other side. */
        const NodeId entry = index_.meta().entry_base;
        if (entry >= addresses_)
            return false;
        read_.reset(addresses_, kVisitedBudget);
        read_.insert(id);
        seen_.reset(addresses_, kVisitedBudget);
        open_.assign(1, {0, entry});
        search(kAttachCandidates, true, &reached);
    }
    const Candidate self = candidates_.front();
    std::sort(candidates_.begin() + 1, candidates_.end(),
              [](const Candidate &a, const Candidate &b) { return a.distance < b.distance; });
    for (size_t i = 1; i < candidates_.size(); i++)
        if (link(candidates_[i].id, id, sq8(self)))
            return true;
    for (size_t i = 1; i < candidates_.size(); i++)
        if (swap_link(candidates_[i].id, id, sq8(self)))
            return true;
    return false;
}

/* Adds a link if `from` has room for it. True also if it has that link. */
bool Repairer::link(NodeId from, NodeId to, const Sq8 &v) {
    RecordEdit edit(index_.store(), index_.layouts(), RecordClass::kBase, context_.memory);
    if (!edit.open(from) || edit.view().head().state != RecordState::kLive)
        return false;
    const uint32_t count = edit.view().count();
    const NodeId *ids = edit.view().ids();
    if (std::find(ids, ids + count, to) != ids + count)
        return true;
    if (count == edit.view().layout->slots)
        return false;
    RecordImage image = edit.image();
    image.ids()[count] = to;
    if (index_.space().has_codes())
        index_.space().encode_edge(image, v, count);
    image.head().count = static_cast<uint8_t>(count + 1);
    edit.commit();
    return true;
}

/* Replaces a link from -> y by from -> to, where another neighbour z of `from` links to y too: what
 * was reached through y is reached through z then. */
bool Repairer::swap_link(NodeId from, NodeId to, const Sq8 &v) {
    if (!read(from))
        return false;
    const uint32_t n = base_.view().count();
    std::pmr::vector<NodeId> ids(base_.view().ids(), base_.view().ids() + n, context_.memory);
    base_.release();
    if (std::find(ids.begin(), ids.end(), to) != ids.end())
        return true; /* an insert has linked it meanwhile */
    for (uint32_t by = 0; by < n; by++) {
        if (ids[by] >= addresses_ || !read(ids[by]))
            continue;
        const RecordView &z = base_.view();
        uint32_t slot = n;
        /* Later slots first: selection puts fill behind what the heuristic took. */
        for (uint32_t i = n; i-- > 0 && slot == n;)
            if (i != by && std::find(z.ids(), z.ids() + z.count(), ids[i]) != z.ids() + z.count())
                slot = i;
        base_.release();
        if (slot == n)
            continue;
        RecordEdit edit(index_.store(), index_.layouts(), RecordClass::kBase, context_.memory);
        if (!edit.open(from) || edit.view().head().state != RecordState::kLive ||
            edit.view().count() != n || !std::equal(ids.begin(), ids.end(), edit.view().ids()))
            return false;
        RecordImage image = edit.image();
        image.ids()[slot] = to;
        if (index_.space().has_codes())
            index_.space().encode_edge(image, v, slot);
        edit.commit();
        return true;
    }
    return false;
}

uint64_t link_unreached(Index &index, const Context &context, const AddressSet &live_base,
                        const AddressSet &live_upper) {
    const IndexLayouts &layouts = index.layouts();
    const BlockNo blocks = index.store().size();
    Flood flood(index, context, false);
    Repairer repairer(index, context, live_base, live_upper);
    RecordRef record(index.store(), layouts, RecordClass::kBase, context.memory);
    uint64_t linked = 0;
    bool all = false;
    for (uint32_t round = 0; round < kFloodRounds && !all; round++) {
        flood.start(blocks);
        flood.add(index.meta().entry_base);
        flood.run();
        all = true;
        for (BlockNo block = kMetaBlock + 1; block < blocks; block++) {
            for (uint32_t slot = 0; slot < layouts.at(block).per_page; slot++) {
                const NodeId id = layouts.id_of(block, slot);
                if (flood.reached().contains(id) || !record.read(id))
                    continue;
                const bool live = record.view().head().state == RecordState::kLive;
                record.release();
                if (!live)
                    continue;
                all = false;
                if (repairer.attach(id, flood.reached())) {
                    linked++;
                    flood.add(id);
                    flood.run();
                }
            }
            index.store().poll();
        }
    }
    return linked;
}

}  // namespace hnsw::core
