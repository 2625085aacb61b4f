/* Record layouts: how many neighbours and code bits a record gets for its dimensions and M. */
#include "core/record.h"

#include <algorithm>
#include <cstring>

#include "core/record_io.h"
#include "core/round_up.h"

namespace hnsw::core {

namespace {

/* Code bits beyond which a longer code no longer saves reads worth its bytes (measured; see
 * docs/format.md, "Code length"). */
constexpr uint32_t kMaxCodeBits = 512;

/* A record keeps at least this share of its M0 slots when it gives some up so that more records
 * fit on a page, or one into fewer pages, and a page at least this share of its links (measured; see
 * docs/performance.md, "Slots"). */
constexpr uint32_t kMinSlotsPercent = 80;
constexpr uint32_t kMinLinksPercent = 95;

/* A dense one keeps at least this share of the slots. */
constexpr uint32_t kMinDensePercent = 60;

/* Whether records of layout `a` take fewer pages than those of `b`. */
bool takes_less(const RecordLayout &a, const RecordLayout &b) {
    return a.per_page * b.parts > b.per_page * a.parts;
}

bool keeps_enough(const RecordLayout &l, const RecordLayout &full) {
    return l.slots * 100 >= full.slots * kMinSlotsPercent &&
           l.slots * l.per_page * full.parts * 100 >=
               full.slots * full.per_page * l.parts * kMinLinksPercent;
}

}  // namespace

RecordLayout RecordLayout::make(uint32_t dim, uint32_t slots, uint32_t bits) {
    RecordLayout l;
    l.dim = dim;
    l.slots = slots;
    l.bits = bits;
    l.own_offset = sizeof(RecordHeader);
    l.id_offset = l.own_offset + dim;
    l.factor_a_offset = l.id_offset + slots * static_cast<uint32_t>(sizeof(NodeId));
    uint32_t factor_bytes = bits != 0 ? slots * 2 : 0;
    l.factor_b_offset = l.factor_a_offset + factor_bytes;
    l.code_offset = l.factor_b_offset + factor_bytes;
    l.bytes = round_up(l.code_offset + slots * (bits / 8), 8);
    l.parts = 1;
    l.per_page = 1;
    if (l.bytes <= kPayloadBytes) {
        l.per_page = std::min(kPayloadBytes / l.bytes, kMaxPerPage);
    } else {
        while (spanning_capacity(l.parts) < l.bytes)
            l.parts++;
    }
    return l;
}

IndexLayouts IndexLayouts::make(uint32_t dim, uint32_t slots, uint32_t bits, uint32_t dense_slots) {
    const RecordLayout usual = RecordLayout::make(dim, slots, bits);
    return {usual, dense_slots != 0 ? RecordLayout::make(dim, dense_slots, bits) : usual};
}

IndexLayouts IndexLayouts::choose(uint32_t dim, uint32_t m, bool metric_has_codes) {
    const uint32_t padded = padded_dim(dim);
    const uint32_t bits = metric_has_codes ? std::min(padded, kMaxCodeBits) : 0;
    const RecordLayout full = RecordLayout::make(padded, 2 * m, bits);
    RecordLayout usual = full;
    uint32_t dense_slots = 0;
    for (uint32_t slots = full.slots; slots * 100 >= full.slots * kMinDensePercent; slots--) {
        const RecordLayout tight = RecordLayout::make(padded, slots, bits);
        if (!takes_less(tight, usual))
            continue;
        if (keeps_enough(tight, full)) {
            usual = tight;
        } else if (metric_has_codes && tight.per_page > 1 && tight.per_page <= kMaxDensePerPage) {
            dense_slots = slots;
            break;
        }
    }
    return make(padded, usual.slots, bits, dense_slots);
}

void copy_slot(const RecordImage &to, uint32_t to_slot, const RecordView &from,
               uint32_t from_slot) {
    to.ids()[to_slot] = from.ids()[from_slot];
    if (to.layout->bits == 0)
        return;
    to.factor_a()[to_slot] = from.factor_a()[from_slot];
    to.factor_b()[to_slot] = from.factor_b()[from_slot];
    std::memcpy(to.code(to_slot), from.code(from_slot), to.layout->code_bytes());
}

}  // namespace hnsw::core
