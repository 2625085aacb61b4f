/*
 * How wide searches of a finished graph have to be, measured on a sample of its own rows.
 *
 * Called by the builds, between BuildWorker::connect() and the writing of the metapage, which keeps the
 * result.
 */
#pragma once

#include <cstdint>
#include <memory_resource>

#include "core/arena.h"
#include "core/build.h"
#include "core/meta.h"

namespace hnsw::core {

struct SearchWidths {
    /* The number that ef_search is multiplied by so that beams ordered by estimates find what plain HNSW's of
     * ef_search ordered by exact distances find (decision 11); 0 = not known. */
    float beam_factor = 0;
    /* The least width of the beam above layer 0 with which as few searches miss the part of the
     * graph where their neighbours are as with the widest one; 0 = not known. */
    uint16_t descent_width = 0;
    /* The least multiple of the tenth nearest row's distance with which a search that goes so far finds as much
     * (search_width.h); 0 = not known, or there is none. */
    float reach = 0;

    /* Writes what is known. */
    void store(MetaPage *meta) const {
        if (beam_factor != 0)
            meta->beam_factor = beam_factor;
        if (descent_width != 0)
            meta->descent_width = descent_width;
        if (reach != 0)
            meta->reach = reach;
    }
};

/* Nothing is known of a graph of few rows, which says little about the one it grows into. With `spare` bytes
 * of memory, up to 4 MB, it looks at more rows. */
SearchWidths measure_widths(const Arena &arena, const Space &space, const CreateOptions &options,
                            size_t spare, Poll poll, std::pmr::memory_resource *memory);

}  // namespace hnsw::core
