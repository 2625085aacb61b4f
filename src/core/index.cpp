/* Opening and creating an index. */
#include "core/index.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace hnsw::core {

namespace {

/* A layer has 1 / (kLayerRatio m) of the nodes of the one below. Malkov and Yashunin choose 1 / m, where a
 * node of the upper layers has m links and each of them costs a read; here one read estimates 2m
 * neighbours, so that larger layers are crossed as quickly, and fewer of them make a shorter way. */
constexpr uint32_t kLayerRatio = 4;

constexpr uint32_t kFloatsPerPage = kPayloadBytes / sizeof(float);

/* Of an index created empty: builds measure 1.2 (text, 384 dimensions) to 2 (SIFT). */
constexpr float kDefaultBeamFactor = 1.75f;

/* The same: one would do for most data; where clusters are far apart, a search that enters the wrong one
 * finds nothing, and the wider the fewer do. */
constexpr uint16_t kDefaultDescentWidth = 4;

/* What choose() may have chosen: directory pages and spanning records rely on it. */
bool plausible_dense(const MetaPage &meta) {
    if (meta.dense_slots == 0)
        return true;
    const IndexLayouts layouts =
        IndexLayouts::make(padded_dim(meta.dim), meta.slots, meta.code_bits, meta.dense_slots);
    return meta.dense_slots < meta.slots && layouts.usual.parts == 1 && layouts.has_dense() &&
           layouts.dense.per_page <= kMaxDensePerPage;
}

bool plausible(const MetaPage &meta) {
    bool metric_known = meta.metric >= Metric::kL2 && meta.metric <= Metric::kL1;
    return metric_known && meta.dim >= 1 && meta.dim <= kMaxDimensions && meta.m >= 2 &&
           meta.m <= 100 && meta.slots >= 1 && meta.slots <= 2 * meta.m &&
           meta.descent_width >= 1 && meta.descent_width <= kMaxDescentWidth &&
           meta.code_bits % 64 == 0 && meta.code_bits <= padded_dim(meta.dim) &&
           meta.centre_count >= 1 && meta.centre_count <= kMaxCentres &&
           meta.entry_level <= kMaxLevel && meta.beam_factor >= 1 && meta.beam_factor <= 16 &&
           (meta.reach == 0 || (meta.reach > 1 && meta.reach <= 16)) &&
           meta.attributes <= kMaxAttributes && plausible_dense(meta);
}

/* Reads a chain of kCentre pages into `out`, dim floats. */
void read_centre(PageStore &store, BlockNo first, uint32_t dim, float *out) {
    BlockNo block = first;
    for (uint32_t done = 0; done < dim;) {
        if (block >= store.size())
            store.corrupt(first, "the chain of centre pages ends early");
        PageRef page(store, block);
        if (page_kind(page.data()) != PageKind::kCentre)
            store.corrupt(block, "not a centre page");
        uint32_t n = std::min(kFloatsPerPage, dim - done);
        std::memcpy(out + done, payload(page.data()), n * sizeof(float));
        done += n;
        block = trailer(page.data()).next;
    }
}

}  // namespace

MetaStatus check_meta(const std::byte *page) {
    const MetaPage &meta = meta_of(page);
    if (page_kind(page) != PageKind::kMeta || meta.magic != kMetaMagic)
        return MetaStatus::kNotAnIndex;
    if (meta.version != kFormatVersion)
        return MetaStatus::kUnknownVersion;
    return plausible(meta) ? MetaStatus::kOk : MetaStatus::kDamaged;
}

void make_empty_meta(std::byte *page, const CreateOptions &options) {
    init_page(page, PageKind::kMeta);
    bool has_codes = options.metric != Metric::kL1;
    IndexLayouts layouts = IndexLayouts::choose(options.dim, options.m, has_codes);
    meta_of(page) = {
        .magic = kMetaMagic,
        .version = kFormatVersion,
        .dim = options.dim,
        .metric = options.metric,
        .m = static_cast<uint16_t>(options.m),
        .ef_construction = static_cast<uint16_t>(options.ef_construction),
        .slots = static_cast<uint16_t>(layouts.usual.slots),
        .descent_width = kDefaultDescentWidth,
        .code_bits = static_cast<uint16_t>(layouts.usual.bits),
        .rotation_seed = options.rotation_seed,
        .centre_count = 1,
        .centre = {kNoBlock, kNoBlock},
        .centre_is_guess = options.metric != Metric::kInnerProduct,
        .beam_factor = has_codes ? kDefaultBeamFactor : 1.0f,
        .entry_base = kNoNode,
        .entry_upper = kNoNode,
        .entry_level = 0,
        .free_base = kNoBlock,
        .free_upper = kNoBlock,
        .free_posting = kNoBlock,
        .free_part = kNoBlock,
        .null_rows = {},
        .zero_rows = {},
        .attributes = options.attributes,
        .dense_slots = layouts.has_dense() ? layouts.dense.slots : 0,
        .reach = 0,
    };
}

void create_empty_index(PageStore &store, const CreateOptions &options) {
    PageTxn txn(store);
    BlockNo block;
    std::byte *page = txn.extend({}, PageKind::kMeta, &block);
    make_empty_meta(page, options);
    txn.commit();
}

BlockNo write_centre(const Index &index, const float *coordinates) {
    const uint32_t dim = index.meta().dim;
    /* Last page first, so that each page names a page that exists. */
    uint32_t pages = (dim + kFloatsPerPage - 1) / kFloatsPerPage;
    BlockNo next = kNoBlock;
    for (uint32_t i = pages; i-- > 0;) {
        PageTxn txn(index.store());
        BlockNo block;
        std::byte *page = txn.extend(index.directory(), PageKind::kCentre, &block);
        uint32_t first = i * kFloatsPerPage;
        uint32_t n = std::min(kFloatsPerPage, dim - first);
        std::memcpy(payload(page), coordinates + first, n * sizeof(float));
        trailer(page).next = next;
        txn.commit();
        next = block;
    }
    return next;
}

Index::Index(PageStore &store, std::pmr::memory_resource *memory)
    : store_(store), memory_(memory), meta_{} {
    refresh();
}

void Index::refresh() {
    {
        PageRef page(store_, kMetaBlock);
        if (check_meta(page.data()) != MetaStatus::kOk)
            store_.corrupt(kMetaBlock, "not a metapage this version can read");
        meta_ = meta_of(page.data());
    }
    if (!space_ || space_->centre_count() != meta_.centre_count || built_centre_ != meta_.centre[0])
        build_space();
}

void Index::build_space() {
    layouts_ =
        IndexLayouts::make(padded_dim(meta_.dim), meta_.slots, meta_.code_bits, meta_.dense_slots);
    directory_ = DirectoryShape::make(meta_.attributes, layouts_);
    Space::Centres centres{.count = meta_.centre_count};
    std::pmr::vector<float> coordinates(size_t{meta_.centre_count} * meta_.dim, memory_);
    for (uint32_t c = 0; c < meta_.centre_count; c++) {
        if (meta_.centre[c] == kNoBlock)
            continue;
        float *to = &coordinates[size_t{c} * meta_.dim];
        read_centre(store_, meta_.centre[c], meta_.dim, to);
        centres.coordinates[c] = to;
    }
    built_centre_ = meta_.centre[0];
    space_.emplace(meta_.metric, meta_.dim, meta_.code_bits, meta_.rotation_seed, centres, memory_);
}

uint32_t level_of(const uint8_t hash[16], uint32_t m) {
    uint64_t bits;
    std::memcpy(&bits, hash, sizeof(bits));
    if constexpr (std::endian::native == std::endian::big)
        bits = __builtin_bswap64(bits);
    /* (0, 1], so that the logarithm is finite. */
    double uniform = static_cast<double>((bits >> 11) + 1) * 0x1p-53;
    double level = -std::log(uniform) / std::log(static_cast<double>(kLayerRatio * m));
    return static_cast<uint32_t>(std::min<double>(level, kMaxLevel));
}

}  // namespace hnsw::core
