/*
 * Which layer-0 records a path from the entry point reaches.  Sweeps over the pages in order and
 * touches only pages with records whose links are still to be followed, so it needs two bits per
 * record address and no queue.
 */
#pragma once

#include "core/address_set.h"
#include "core/context.h"
#include "core/index.h"
#include "core/record_io.h"

namespace hnsw::core {

class Flood {
public:
    /* through_deleted: whether a path may go through records without rows, as searches do. */
    Flood(Index &index, const Context &context, bool through_deleted);

    /* Bytes of memory it takes for `blocks` blocks. */
    static size_t bytes(const Index &index, BlockNo blocks) {
        return size_t{2} * blocks * index.layouts().stride() / 8;
    }

    /* Forgets everything; covers the records of blocks 0..blocks-1. */
    void start(BlockNo blocks);
    /* A record known to be reached. */
    void add(NodeId id);
    /* Follows links until no further record is reached. Polls between pages. */
    void run();

    const AddressSet &reached() const { return reached_; }

private:
    void follow(const RecordView &view);
    void follow_page(BlockNo block);

    Index &index_;
    bool through_deleted_;
    AddressSet reached_;
    AddressSet pending_; /* reached, links not followed */
    RecordRef record_;
};

}  // namespace hnsw::core
