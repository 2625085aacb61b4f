/*
 * An opened index: what the metapage says once and for all (parameters, layouts, vector space),
 * and the creation of an empty one.  Entry point and list heads change; they are read when needed.
 */
#pragma once

#include <optional>

#include "core/codes.h"
#include "core/context.h"
#include "core/directory.h"
#include "core/meta.h"
#include "core/record.h"
#include "core/store.h"

namespace hnsw::core {

struct CreateOptions {
    Metric metric = Metric::kL2;
    uint32_t dim = 0;              /* 1..kMaxDimensions */
    uint32_t m = 16;               /* 2..100 */
    uint32_t ef_construction = 64; /* 4..1000, at least 2 * m */
    uint64_t rotation_seed = 0x9E3779B97F4A7C15u;
    uint32_t attributes = 0; /* further columns, 0..kMaxAttributes */
};

/* What a metapage turns out to be. */
enum class MetaStatus { kOk, kNotAnIndex, kUnknownVersion, kDamaged };
MetaStatus check_meta(const std::byte *page);

/* Fills an 8 KiB page with the metapage of an empty index (also for an init fork). */
void make_empty_meta(std::byte *page, const CreateOptions &options);

/* Writes block 0 of an empty relation. */
void create_empty_index(PageStore &store, const CreateOptions &options);

class Index {
public:
    /* Reads the metapage; corrupt() if it is not one of ours (callers that want a friendlier
     * error check_meta() first). `store` and `memory` outlive the object. */
    Index(PageStore &store, std::pmr::memory_resource *memory);

    PageStore &store() const { return store_; }
    const MetaPage &meta() const { return meta_; } /* as of the last (re)load */
    const IndexLayouts &layouts() const { return layouts_; }
    const DirectoryShape &directory() const { return directory_; }
    const Space &space() const { return *space_; }

    /* Reads the metapage again; rebuilds the space if a centre was learnt since. Searches start
     * with this: a record with a centre that is still unknown then is newer than their snapshot. */
    void refresh();

private:
    void build_space();

    PageStore &store_;
    std::pmr::memory_resource *memory_;
    MetaPage meta_;
    IndexLayouts layouts_;
    DirectoryShape directory_;
    BlockNo built_centre_ = kNoBlock; /* centre 0 of space_ */
    std::optional<Space> space_;
};

/* Writes the coordinates of a centre (dim floats) into a chain of kCentre pages; returns the
 * first. The caller makes the metapage point to it. */
BlockNo write_centre(const Index &index, const float *coordinates);

/* The top layer of a node: floor(-ln(U) / ln(4m)), U from the hash of its value, so that a rebuild
 * gives the same layers (Malkov and Yashunin, arXiv 1603.09320, section 4). At most kMaxLevel. */
uint32_t level_of(const uint8_t hash[16], uint32_t m);

}  // namespace hnsw::core
