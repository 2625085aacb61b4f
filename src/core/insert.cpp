/* Adding a row. insert.h lists the steps; docs/wal.md says what each leaves behind after a crash. */
#include "core/insert.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/neighbours.h"
#include "core/page_graph.h"
#include "core/posting.h"

namespace hnsw::core {

namespace {

/* The beam of an insert's search is this many times ef_construction. Its candidates are what it
 * expands, found by estimates; a build evaluates every neighbour exactly, and a narrower beam leaves
 * an inserted graph behind a built one (docs/performance.md). */
constexpr uint32_t kCandidateWidth = 4;

/* An index created empty learns its centre from its first nodes, when it has this many. */
constexpr uint32_t kCentreSample = 256;

}  // namespace

struct Inserter::Impl {
    Impl(Index &index_ref, const Context &context_ref, uint32_t ef)
        : index(index_ref),
          context(context_ref),
          ef_construction(ef),
          query(context.memory),
          own(context.memory),
          graph(index, context),
          pool(context.memory, index_ref.space().padded()),
          chosen(context.memory),
          edit_base(index.store(), index.layouts(), RecordClass::kBase, context.memory),
          edit_upper(index.store(), index.layouts(), RecordClass::kUpper, context.memory),
          angles(index.space().bits(), context.memory),
          prune(context.memory) {}

    /* A record the search has read: what linking to it needs. */
    struct Candidate {
        float distance;
        NodeId id;
        uint32_t vector; /* index into Pool::vectors */
        float scale;
        float norm;
        uint8_t centre;
    };

    /* Collects candidates: live records only, each once. */
    struct Pool final : RecordSink {
        Pool(std::pmr::memory_resource *memory, uint32_t padded_dim)
            : candidates(memory), vectors(memory), padded(padded_dim) {}

        void clear(const uint8_t *value_hash) {
            candidates.clear();
            vectors.clear();
            hash = value_hash;
            equal = kNoNode;
        }
        void visit(NodeId id, const RecordView &record, float distance) override {
            const RecordHeader &head = record.head();
            if (head.state != RecordState::kLive)
                return;
            if (std::memcmp(head.hash, hash, sizeof(head.hash)) == 0)
                equal = id;
            const auto at = static_cast<uint32_t>(candidates.size());
            vectors.insert(vectors.end(), record.own(), record.own() + padded);
            candidates.push_back({distance, id, at, head.scale, head.norm, head.centre});
        }
        Sq8 sq8(const Candidate &c) const {
            return {.x = &vectors[size_t{c.vector} * padded],
                    .scale = c.scale,
                    .norm = c.norm,
                    .error = 0,
                    .centre = c.centre};
        }

        std::pmr::vector<Candidate> candidates;
        std::pmr::vector<int8_t> vectors;
        uint32_t padded;
        const uint8_t *hash = nullptr;
        NodeId equal = kNoNode; /* a record with the very value */
    };

    /* Scratch of pruning a full list. */
    struct Prune {
        explicit Prune(std::pmr::memory_resource *memory)
            : record(memory),
              codes(memory),
              length(memory),
              distance(memory),
              order(memory),
              chosen(memory),
              ids(memory),
              vectors(memory),
              others(memory) {}
        std::pmr::vector<std::byte> record;      /* the new edge's code, as a record of one slot */
        std::pmr::vector<const uint8_t *> codes; /* by ascending length */
        std::pmr::vector<float> length;
        std::pmr::vector<float> distance;
        std::pmr::vector<uint32_t> order;
        std::pmr::vector<uint32_t> chosen;
        std::pmr::vector<NodeId> ids;     /* L1: the list as it was read */
        std::pmr::vector<int8_t> vectors; /* L1: own vectors of the list */
        std::pmr::vector<Sq8> others;
    };

    void insert(const float *value, HeapTid tid);
    void add_tower(NodeId base);
    void build_tower(NodeId base, uint32_t level);
    bool join_equal(HeapTid tid);
    void add_first(NodeId *base, HeapTid tid);
    void find_base();
    void choose(uint32_t slots);
    void fill_header(const RecordImage &image, uint32_t level);
    void fill_links(const RecordImage &image);
    NodeId add_base(uint32_t level, HeapTid tid);
    NodeId add_upper(uint32_t level, NodeId down);
    void set_up(RecordEdit &edit, NodeId id, NodeId up);
    void link_back(RecordEdit &edit, RecordClass cls, NodeId from);
    void replace_coded(RecordEdit &edit, NodeId from);
    void replace_plain(RecordEdit &edit, RecordClass cls, NodeId target, NodeId from);
    bool set_entry(NodeId base, NodeId upper, uint32_t level);
    void guess_centre();
    void learn_centre();

    Index &index;
    Context context;
    uint32_t ef_construction;
    Attributes attributes; /* of the row being added */
    Query query;
    std::pmr::vector<int8_t> own;
    PageGraph graph;
    Pool pool;
    Sq8 vector;                        /* the value, encoded in `own` */
    std::pmr::vector<uint32_t> chosen; /* indices into pool.candidates */
    RecordEdit edit_base;
    RecordEdit edit_upper;
    EdgeAngles angles;
    Prune prune;
};

void Inserter::Impl::insert(const float *value, HeapTid tid) {
    index.refresh();
    if (value == nullptr) {
        add_to_tid_list(index, false, tid);
        return;
    }
    index.space().prepare(value, &query);
    if (query.zero) {
        add_to_tid_list(index, true, tid);
        return;
    }
    if (index.meta().centre_is_guess != 0 && index.meta().centre[0] == kNoBlock) {
        guess_centre();
        index.space().prepare(value, &query);
    }
    index.space().identify(&query);
    query.by_product = false; /* the graph's distances, not the operator's */
    const Space &space = index.space();
    own.resize(space.padded());
    vector = space.encode(query, static_cast<uint8_t>(space.centre_count() - 1), own.data());

    const uint32_t level = level_of(query.hash, index.meta().m);
    NodeId base = kNoNode;
    if (index.meta().entry_base == kNoNode) {
        add_first(&base, tid);
        if (index.meta().entry_base == kNoNode)
            index.refresh(); /* ours is the entry now, or another backend's */
    }

    /* Layer 0 first: an upper record names the record below it. */
    graph.begin(query);
    const std::span<const EntryPoint> starts = graph.descend(0);
    if (base == kNoNode || starts.empty() || base != starts.front().id) {
        pool.clear(query.hash);
        find_base();
        if (base == kNoNode && join_equal(tid))
            return;
        choose(index.layouts().usual.slots);
        if (base == kNoNode) {
            base = add_base(level, tid);
        } else if (edit_base.open(base)) {
            fill_links(edit_base.image());
            edit_base.commit();
        }
        link_back(edit_base, RecordClass::kBase, base);
    }

    build_tower(base, level);
    learn_centre();
}

/* Adds the node's upper records; graph.begin() has been called. */
void Inserter::Impl::build_tower(NodeId base, uint32_t level) {
    NodeId below = base;
    for (uint32_t l = 1; l <= level; l++) {
        pool.clear(query.hash);
        if (l <= graph.entry_level()) {
            graph.descend(l);
            graph.search_upper(l, ef_construction, &pool);
        }
        choose(index.layouts().usual.slots);
        NodeId upper = add_upper(l, below);
        link_back(edit_upper, RecordClass::kUpper, upper);
        set_up(l == 1 ? edit_base : edit_upper, below, upper);
        below = upper;
    }
    if (level > 0)
        set_entry(base, below, level);
}

void Inserter::Impl::add_tower(NodeId base) {
    index.refresh();
    RecordRef record(index.store(), index.layouts(), RecordClass::kBase, context.memory);
    if (!record.read(base))
        return;
    const RecordView &view = record.view();
    own.assign(view.own(), view.own() + index.space().padded());
    vector = sq8_of(view);
    vector.x = own.data();
    const uint32_t level = view.head().level;
    index.space().prepare_from(vector, &query);
    std::memcpy(query.hash, view.head().hash, sizeof(query.hash));
    record.release();
    graph.begin(query);
    build_tower(base, level);
}

/* The same value is in the graph: its node takes the row. False: it is not (any longer). */
bool Inserter::Impl::join_equal(HeapTid tid) {
    if (pool.equal == kNoNode || !edit_base.open(pool.equal))
        return false;
    const RecordHeader &head = edit_base.view().head();
    if (head.state != RecordState::kLive ||
        std::memcmp(head.hash, query.hash, sizeof(head.hash)) != 0) {
        edit_base.close();
        return false;
    }
    add_posting(index, edit_base, pool.equal, tid, attributes);
    return true;
}

/* The graph is empty: a record without links becomes its entry point. Several backends may do this
 * at once; whoever is not first links its record afterwards like any other. */
void Inserter::Impl::add_first(NodeId *base, HeapTid tid) {
    chosen.clear();
    *base = add_base(level_of(query.hash, index.meta().m), tid);
    set_entry(*base, kNoNode, 0);
}

void Inserter::Impl::find_base() {
    graph.start_base(size_t{kCandidateWidth} * ef_construction, 0, SIZE_MAX);
    graph.run_base(pool);
}

/* Chooses up to `slots` neighbours from the pool. */
void Inserter::Impl::choose(uint32_t slots) {
    auto &candidates = pool.candidates;
    std::sort(candidates.begin(), candidates.end(),
              [](const Candidate &a, const Candidate &b) { return a.distance < b.distance; });
    prune.distance.resize(candidates.size());
    for (size_t i = 0; i < candidates.size(); i++)
        prune.distance[i] = candidates[i].distance;
    select_neighbours(
        index.space().metric(), prune.distance.data(), static_cast<uint32_t>(candidates.size()),
        slots,
        [&](uint32_t i, uint32_t j) {
            return index.space().between(pool.sq8(candidates[i]), pool.sq8(candidates[j]),
                                         query.unit);
        },
        chosen);
}

/* Header and own vector of a new record of the value. */
void Inserter::Impl::fill_header(const RecordImage &image, uint32_t level) {
    RecordHeader &head = image.head();
    head.level = static_cast<uint8_t>(level);
    head.centre = vector.centre;
    head.scale = vector.scale;
    head.norm = vector.norm;
    head.error = vector.error;
    std::memcpy(head.hash, query.hash, sizeof(head.hash));
    std::memcpy(image.own(), vector.x, index.space().padded());
}

/* The least redundant come first in `chosen`: a dense record has room for those. */
void Inserter::Impl::fill_links(const RecordImage &image) {
    uint32_t slot = 0;
    for (uint32_t i : chosen) {
        if (slot == image.layout->slots)
            break;
        const Candidate &c = pool.candidates[i];
        image.ids()[slot] = c.id;
        if (index.space().has_codes())
            index.space().encode_edge(image, pool.sq8(c), slot);
        slot++;
    }
    image.head().count = static_cast<uint8_t>(slot);
}

NodeId Inserter::Impl::add_base(uint32_t level, HeapTid tid) {
    NewRecord record(index, RecordClass::kBase, context.memory);
    record.open();
    fill_header(record.image(), level);
    record.image().head().tid = StoredTid::from(tid);
    fill_links(record.image());
    record.commit(attributes);
    return record.id();
}

NodeId Inserter::Impl::add_upper(uint32_t level, NodeId down) {
    NewRecord record(index, RecordClass::kUpper, context.memory);
    record.open();
    fill_header(record.image(), level);
    record.image().head().down = down;
    fill_links(record.image());
    record.commit();
    return record.id();
}

void Inserter::Impl::set_up(RecordEdit &edit, NodeId id, NodeId up) {
    if (!edit.open(id))
        return;
    edit.image().head().up = up;
    if (&edit == &edit_base)
        write_entry(edit.txn(), index.directory(), id, edit.view().head(), nullptr);
    edit.commit();
}

/* Links every chosen neighbour back to the new record. */
void Inserter::Impl::link_back(RecordEdit &edit, RecordClass cls, NodeId from) {
    for (uint32_t i : chosen) {
        const NodeId target = pool.candidates[i].id;
        if (!edit.open(target))
            continue;
        const RecordView &view = edit.view();
        const NodeId *ids = view.ids();
        const uint32_t count = view.count();
        const bool stale = view.head().state != RecordState::kLive ||
                           view.head().centre >= index.space().centre_count() ||
                           std::find(ids, ids + count, from) != ids + count;
        if (stale) {
            edit.close();
        } else if (count < view.layout->slots) {
            RecordImage image = edit.image();
            image.ids()[count] = from;
            if (index.space().has_codes())
                index.space().encode_edge(image, vector, count);
            image.head().count++;
            edit.commit();
        } else if (index.space().has_codes()) {
            replace_coded(edit, from);
        } else {
            edit.close();
            replace_plain(edit, cls, target, from);
        }
        index.store().poll();
    }
}

/* A full list takes the new link in place of its most redundant one, unless that is the new one
 * itself. Distances between neighbours come from their codes: no other record is read. */
void Inserter::Impl::replace_coded(RecordEdit &edit, NodeId from) {
    const Space &space = index.space();
    const RecordView view = edit.view();
    const uint32_t n = view.count();

    /* The new edge's code, in a record of one slot. */
    const RecordLayout single = RecordLayout::make(space.padded(), 1, space.bits());
    prune.record.resize(single.bytes);
    const RecordImage extra{prune.record.data(), &single};
    std::memcpy(extra.bytes, view.bytes, single.id_offset);
    extra.head().count = 1;
    space.encode_edge(extra, vector, 0);

    prune.length.resize(n + 1);
    space.edge_lengths(view, prune.length.data());
    space.edge_lengths(extra.view(), &prune.length[n]);
    prune.order.resize(n + 1);
    for (uint32_t i = 0; i <= n; i++)
        prune.order[i] = i;
    std::sort(prune.order.begin(), prune.order.end(),
              [&](uint32_t a, uint32_t b) { return prune.length[a] < prune.length[b]; });
    prune.codes.resize(n + 1);
    prune.distance.resize(n + 1);
    for (uint32_t i = 0; i <= n; i++) {
        const uint32_t at = prune.order[i];
        prune.codes[i] = at == n ? extra.code(0) : view.code(at);
        prune.distance[i] = prune.length[at];
    }
    const uint32_t slot =
        prune.order[angles.most_redundant(prune.distance.data(), prune.codes.data(), n + 1)];
    if (slot == n) {
        edit.close();
        return;
    }
    RecordImage image = edit.image();
    image.ids()[slot] = from;
    space.encode_edge(image, vector, slot);
    edit.commit();
}

/* The same without codes (L1): the neighbours' own vectors are read, one page at a time, before the
 * list is latched; if it has changed meanwhile the link is left out. */
void Inserter::Impl::replace_plain(RecordEdit &edit, RecordClass cls, NodeId target, NodeId from) {
    const Space &space = index.space();
    const uint32_t padded = space.padded();
    RecordRef record(index.store(), index.layouts(), cls, context.memory);
    if (!record.read(target))
        return;
    const uint32_t n = record.view().count();
    prune.ids.assign(record.view().ids(), record.view().ids() + n);
    prune.vectors.resize(size_t{n + 2} * padded);
    prune.others.resize(n + 2);
    auto keep = [&](uint32_t at, const Sq8 &v) {
        int8_t *to = &prune.vectors[size_t{at} * padded];
        std::memcpy(to, v.x, padded);
        prune.others[at] = v;
        prune.others[at].x = to;
    };
    keep(n, vector);
    keep(n + 1, sq8_of(record.view()));
    for (uint32_t i = 0; i < n; i++) {
        /* A link that leads nowhere is the one to replace: as far away as can be. */
        prune.others[i].x = nullptr;
        if (record.read(prune.ids[i]) && record.view().head().centre < space.centre_count())
            keep(i, sq8_of(record.view()));
        record.release();
    }
    auto apart = [&](uint32_t i, uint32_t j) {
        const Sq8 &a = prune.others[i];
        const Sq8 &b = prune.others[j];
        return a.x == nullptr || b.x == nullptr ? 3e38f : space.between(a, b, query.unit);
    };
    prune.length.resize(n + 1);
    prune.order.resize(n + 1);
    for (uint32_t i = 0; i <= n; i++) {
        prune.order[i] = i;
        prune.length[i] = apart(i, n + 1);
    }
    std::sort(prune.order.begin(), prune.order.end(),
              [&](uint32_t a, uint32_t b) { return prune.length[a] < prune.length[b]; });
    prune.distance.resize(n + 1);
    for (uint32_t i = 0; i <= n; i++)
        prune.distance[i] = prune.length[prune.order[i]];
    select_neighbours(
        space.metric(), prune.distance.data(), n + 1, n,
        [&](uint32_t i, uint32_t j) { return apart(prune.order[i], prune.order[j]); },
        prune.chosen);
    uint32_t dropped = n * (n + 1) / 2;
    for (uint32_t position : prune.chosen)
        dropped -= position;
    const uint32_t slot = prune.order[dropped];
    if (slot == n || !edit.open(target))
        return;
    if (edit.view().count() == n &&
        std::equal(prune.ids.begin(), prune.ids.end(), edit.view().ids())) {
        edit.image().ids()[slot] = from;
        edit.commit();
    } else {
        edit.close();
    }
}

/* Makes the node the entry point if it is higher than the one there is. */
bool Inserter::Impl::set_entry(NodeId base, NodeId upper, uint32_t level) {
    PageTxn txn(index.store());
    const MetaPage &meta = meta_of(txn.latch(kMetaBlock));
    if (meta.entry_base != kNoNode && meta.entry_level >= level)
        return false;
    MetaPage &image = meta_of(txn.modify(kMetaBlock));
    image.entry_base = base;
    image.entry_upper = upper;
    image.entry_level = level;
    txn.commit();
    return true;
}

/* The first row of an index created empty is its first centre: data far from the origin would
 * drown in quantisation error otherwise. Whoever comes first sets it, before any record exists. */
void Inserter::Impl::guess_centre() {
    const BlockNo centre = write_centre(index, query.value.data());
    PageTxn txn(index.store());
    if (meta_of(txn.latch(kMetaBlock)).centre[0] == kNoBlock) {
        meta_of(txn.modify(kMetaBlock)).centre[0] = centre;
        txn.commit();
    }
    txn.release();
    index.refresh();
}

/* Once there are some nodes, later ones are quantised around the mean of the first (decision 5).
 * Records of both centres live side by side. */
void Inserter::Impl::learn_centre() {
    const MetaPage &meta = index.meta();
    const IndexLayouts &layouts = index.layouts();
    if (meta.centre_is_guess == 0 || meta.centre_count != 1 ||
        layouts.addresses(index.store().size()) < kCentreSample)
        return;
    std::pmr::vector<double> sum(meta.dim, 0.0, context.memory);
    std::pmr::vector<float> scratch(index.space().padded(), context.memory);
    RecordRef record(index.store(), layouts, RecordClass::kBase, context.memory);
    uint32_t found = 0;
    const BlockNo blocks = index.store().size();
    for (BlockNo block = kMetaBlock + 1; block < blocks && found < kCentreSample; block++) {
        for (uint32_t slot = 0; slot < layouts.at(block).per_page; slot++) {
            if (!record.read(layouts.id_of(block, slot)))
                continue;
            index.space().decode(sq8_of(record.view()), sum.data(), scratch.data());
            found++;
        }
        record.release();
        index.store().poll();
    }
    if (found < kCentreSample / 2)
        return;
    scratch.resize(meta.dim);
    for (uint32_t i = 0; i < meta.dim; i++)
        scratch[i] = static_cast<float>(sum[i] / found);
    const BlockNo centre = write_centre(index, scratch.data());
    PageTxn txn(index.store());
    if (meta_of(txn.latch(kMetaBlock)).centre_count != 1)
        return; /* another backend was faster; our pages stay unused */
    MetaPage &image = meta_of(txn.modify(kMetaBlock));
    image.centre[1] = centre;
    image.centre_count = 2;
    txn.commit();
}

/* ---- Interface -------------------------------------------------------------------------------- */

Inserter::Inserter(Index &index, const Context &context, uint32_t ef_construction) {
    std::pmr::polymorphic_allocator<> allocator(context.memory);
    impl_ = allocator.new_object<Impl>(index, context, ef_construction);
}

Inserter::~Inserter() {
    std::pmr::polymorphic_allocator<> allocator(impl_->context.memory);
    allocator.delete_object(impl_);
}

void Inserter::insert(const float *value, HeapTid tid, const Attributes &row) {
    impl_->attributes = row;
    impl_->insert(value, tid);
}

void Inserter::add_tower(NodeId base) { impl_->add_tower(base); }

}  // namespace hnsw::core
