/* Invariants of records, of the towers they form, of their links and of their rows. */
#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "core/verify_state.h"

namespace hnsw::core {

namespace {

/* Line pointers of a heap page: MaxOffsetNumber. */
constexpr uint32_t kMaxOffset = 2048;

/* An edge encoded by another instruction set may differ in the sign of a difference that is next to
 * nothing, and in the rounding of its factors. */
constexpr uint32_t kBitsPerFlip = 16;
constexpr double kFactorTolerance = 0.03;

}  // namespace

void Verifier::check_tid(HeapTid tid, NodeId node, Suspicions &out) {
    if (tid.offset == 0 || tid.offset > kMaxOffset || tid.block == kNoBlock)
        suspect(out, Severity::kError, "tid_invalid", node, "heap row (%u,%u)", tid.block,
                tid.offset);
}

void Verifier::check_record(NodeId id, RecordClass cls, const RecordView &view, Suspicions &out) {
    const RecordHeader &head = view.head();
    if (head.state > RecordState::kDeleted) {
        suspect(out, Severity::kError, "record_state", id, "state %u",
                static_cast<unsigned>(head.state));
        return;
    }
    if (head.state == RecordState::kFree) {
        if (head.freed_at > store_.next_transaction())
            suspect(out, Severity::kWarning, "freed_stamp", id, "freed by a future transaction");
        return;
    }
    const size_t before = out.size();
    check_header(id, cls, view, out);
    if (out.size() != before)
        return; /* nothing below would mean anything */
    check_tower(id, cls, head, out);
    check_links(id, cls, view, out);
    if (cls == RecordClass::kBase)
        check_chain(id, head, out);
}

void Verifier::check_header(NodeId id, RecordClass cls, const RecordView &view, Suspicions &out) {
    const RecordHeader &head = view.head();
    const Space &space = index_.space();
    if (head.count > view.layout->slots)
        suspect(out, Severity::kError, "link_count", id, "%u links in %u slots", head.count,
                view.layout->slots);
    const bool base = cls == RecordClass::kBase;
    if (head.level > kMaxLevel || (!base && head.level == 0) ||
        (base && head.level != level_of(head.hash, index_.meta().m)))
        suspect(out, Severity::kError, "record_level", id, "level %u", head.level);
    if (head.generation == 0)
        suspect(out, Severity::kError, "record_generation", id, "generation 0 in use");
    if (head.centre >= space.centre_count()) {
        suspect(out, Severity::kError, "record_centre", id, "centre %u of %u", head.centre,
                space.centre_count());
        return;
    }
    const double dot = space.kernels().i8_dot(view.own(), view.own(), space.padded());
    const double norm = std::min<double>(std::sqrt(dot) * head.scale, FLT_MAX);
    if (!std::isfinite(head.scale) || head.scale <= 0 || !std::isfinite(head.norm) ||
        std::fabs(head.norm - norm) > norm * 1e-6)
        suspect(out, Severity::kError, "record_norm", id, "norm %g, scale %g", head.norm,
                head.scale);
    /* Each coordinate is at most half a step away from its value. */
    const double dim = space.padded();
    const double most = head.scale * 0.5 * (space.metric() == Metric::kL1 ? dim : std::sqrt(dim));
    if (!(head.error >= 0) || head.error > most * 1.01 + 2 * FLT_MIN)
        suspect(out, Severity::kError, "record_error", id, "error %g, scale %g", head.error,
                head.scale);
    const bool deleted = head.state == RecordState::kDeleted;
    const bool has_tid = head.tid.tid().valid();
    if (base && deleted && (has_tid || head.posting != kNoNode))
        suspect(out, Severity::kError, "deleted_with_rows", id, "a deleted node has heap rows");
    if (base && !deleted && !has_tid && head.posting == kNoNode)
        suspect(out, Severity::kError, "live_without_rows", id, "a live node has no heap row");
    if (base && has_tid)
        check_tid(head.tid.tid(), id, out);
}

/* The records of a node name each other, layer by layer. */
void Verifier::check_tower(NodeId id, RecordClass cls, const RecordHeader &head, Suspicions &out) {
    if (head.state != RecordState::kLive)
        return; /* freed in any order */
    const bool base = cls == RecordClass::kBase;
    const uint32_t level = base ? 0 : head.level;
    if (head.up != kNoNode) {
        if (!upper_.read(head.up) || upper_.view().head().state != RecordState::kLive ||
            upper_.view().head().level != level + 1 || upper_.view().head().down != id ||
            std::memcmp(upper_.view().head().hash, head.hash, sizeof(head.hash)) != 0)
            suspect(out, Severity::kError, "tower", id, "record %u above is not this node's",
                    head.up);
        upper_.release();
    } else if (base && head.level > 0) {
        suspect(out, Severity::kNote, "short_tower", id, "no record above, level %u", head.level);
    }
    if (base)
        return;
    RecordRef &record = head.level == 1 ? base_ : upper_;
    const bool there = record.read(head.down) &&
                       (head.level == 1 || record.view().head().level + 1 == head.level) &&
                       std::memcmp(record.view().head().hash, head.hash, sizeof(head.hash)) == 0;
    const bool linked = there && record.view().head().up == id;
    const bool no_link = there && record.view().head().up == kNoNode;
    record.release();
    if (linked)
        return;
    if (no_link)
        suspect(out, Severity::kNote, "orphan_upper", id, "record %u below does not name it",
                head.down);
    else
        suspect(out, Severity::kError, "tower", id, "record %u below is not this node's",
                head.down);
}

void Verifier::check_links(NodeId id, RecordClass cls, const RecordView &view, Suspicions &out) {
    const NodeId *ids = view.ids();
    const uint32_t n = view.count();
    RecordRef &record = cls == RecordClass::kBase ? base_ : upper_;
    const uint64_t addresses = index_.layouts().addresses(store_.size());
    for (uint32_t i = 0; i < n; i++) {
        if (ids[i] == id) {
            suspect(out, Severity::kError, "link_self", id, "slot %u links to its own record", i);
            continue;
        }
        if (std::find(ids, ids + i, ids[i]) != ids + i) {
            suspect(out, Severity::kError, "link_duplicate", id, "two links to %u", ids[i]);
            continue;
        }
        if (ids[i] >= addresses || !index_.layouts().has(ids[i])) {
            suspect(out, Severity::kError, "link_range", id, "slot %u links to %u", i, ids[i]);
            continue;
        }
        if (!record.read(ids[i])) {
            PageRef page(store_, index_.layouts().block_of(ids[i]));
            const bool kind_is = page_kind(page.data()) == page_kind_of(cls);
            page.release();
            if (kind_is)
                suspect(out, Severity::kNote, "link_stale", id, "slot %u links to freed %u", i,
                        ids[i]);
            else
                suspect(out, Severity::kError, "link_kind", id,
                        "slot %u links to %u on a page of another kind", i, ids[i]);
            continue;
        }
        const RecordHeader &target = record.view().head();
        if (cls == RecordClass::kUpper && target.level != view.head().level)
            suspect(out, Severity::kError, "link_level", id, "slot %u links to %u of level %u", i,
                    ids[i], target.level);
        else if (index_.space().has_codes() && target.centre < index_.space().centre_count())
            check_edge(view, i, record.view(), id, out);
        record.release();
    }
}

/* The code beside a link is what encoding the edge anew gives. */
void Verifier::check_edge(const RecordView &view, uint32_t slot, const RecordView &target,
                          NodeId id, Suspicions &out) {
    const RecordLayout &layout = *view.layout;
    const RecordImage image{edge_.data(), &layout};
    std::memcpy(image.bytes, view.bytes, layout.id_offset);
    index_.space().encode_edge(image, sq8_of(target), slot);
    const uint32_t flips =
        index_.space().kernels().hamming(image.code(slot), view.code(slot), layout.bits);
    const uint16_t a = view.factor_a()[slot];
    const uint16_t b = view.factor_b()[slot];
    if (flips == 0 && a == image.factor_a()[slot] && b == image.factor_b()[slot])
        return;
    const double want_a = from_bf16(image.factor_a()[slot]);
    const double want_b = from_bf16(image.factor_b()[slot]);
    const double r2 = want_b * want_b * layout.bits; /* the order of the edge's squared length */
    const bool near =
        flips <= layout.bits / kBitsPerFlip &&
        std::fabs(from_bf16(b) - want_b) <= kFactorTolerance * std::fabs(want_b) &&
        std::fabs(from_bf16(a) - want_a) <= kFactorTolerance * (std::fabs(want_a) + r2);
    if (!near)
        suspect(out, Severity::kError, "stale_code", id,
                "slot %u: the code is not that of record %u", slot, view.ids()[slot]);
}

/* The node's posting chain; what it names is marked in chunks_. */
void Verifier::check_chain(NodeId id, const RecordHeader &head, Suspicions &out) {
    const uint64_t most = uint64_t{store_.size()} * PostingChunk::per_page();
    const uint32_t columns = index_.directory().attributes;
    uint64_t steps = 0;
    for (uint32_t address = head.posting; address != kNoNode; steps++) {
        const char *wrong = nullptr;
        uint32_t next = kNoNode;
        if (chunk_block(address) >= store_.size()) {
            wrong = "leaves the index";
        } else if (steps > most) {
            wrong = "runs in a circle";
        } else {
            PageRef page(store_, chunk_block(address));
            const PostingChunk *chunk = chunk_in_page(page.data(), address);
            if (page_kind(page.data()) != PageKind::kPosting)
                wrong = "comes to a page of another kind";
            else if (chunk->owner != id || chunk->owner_generation != head.generation)
                wrong = "comes to a chunk that is not its own";
            else if (chunk->count > PostingChunk::capacity(columns))
                wrong = "has a chunk with too many rows";
            else
                next = chunk->next;
            for (uint32_t i = 0; wrong == nullptr && i < chunk->count; i++)
                check_tid(packed_tid(chunk->row(i, columns)).tid(), id, out);
        }
        if (wrong != nullptr) {
            suspect(out, Severity::kError, "posting_chain", id, "the chain %s at %u", wrong,
                    address);
            return;
        }
        chunks_.add(address);
        address = next;
        store_.poll();
    }
}

}  // namespace hnsw::core
