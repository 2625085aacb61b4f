/*
 * What the passes of one VACUUM share.  Private to vacuum.cpp (rows, driver), vacuum_tower.cpp (upper
 * records, entry point) and vacuum_free.cpp (freeing and recycling); docs/vacuum.md has the contract.
 */
#pragma once

#include <memory_resource>
#include <vector>

#include "core/address_set.h"
#include "core/posting.h"
#include "core/record_io.h"
#include "core/repair.h"
#include "core/vacuum.h"

namespace hnsw::core {

class Vacuum {
public:
    Vacuum(Index &index, const Context &context, size_t memory_limit, DeadRows *dead);
    VacuumResult run();

private:
    /* First pass: rows. Later rounds (`remove` false) only mark what is live. */
    void look(BlockNo block, bool remove);
    void look_at_base(BlockNo block, bool remove);
    void look_at_upper(BlockNo block, bool remove);
    void look_at_postings(BlockNo block, bool remove);
    void look_at_list(BlockNo block, bool remove);
    bool gone(const StoredTid &stored) const;
    void keep(NodeId id, const RecordHeader &head);
    void remove_inline(BlockNo block);
    void clean_node(NodeId id);
    bool clean_some(NodeId id, uint32_t *prev);
    uint32_t clean_chunk(uint32_t address, NodeId owner, uint32_t generation, uint32_t *next);
    void free_chunk(uint32_t address);
    void delete_tower(NodeId base, NodeId first);
    void delete_upper(NodeId id);
    void adopt_towers();
    void adopt_tower(NodeId upper);
    void note_free(uint64_t freed_at, BlockNo listed);

    void move_entry();
    bool entry_usable(const MetaPage &meta);
    NodeId tower_record(NodeId base, uint32_t at_most, uint32_t *level);
    void link_unreached();
    void refill_lists();

    /* Last pass: slots. */
    void release(BlockNo block);
    void release_records(BlockNo block, RecordClass cls);
    void release_chunks(BlockNo block);
    void release_orphan(uint32_t address);
    void release_part(BlockNo block);
    bool recyclable(uint64_t freed_at) const { return freed_at != 0 && freed_at <= horizon_; }

    Index &index_;
    PageStore &store_;
    Context context_;
    size_t memory_limit_;
    DeadRows *dead_; /* null: nothing is to be removed */
    VacuumResult result_;

    BlockNo blocks_ = 0; /* size of the index when VACUUM began */
    AddressSet live_base_;
    AddressSet live_upper_;
    AddressSet claimed_;         /* upper records named by the record below them */
    AddressSet chunks_;          /* posting chunks named by their chain */
    bool one_round_ = true;      /* the sets cover the whole index */
    uint64_t deleted_ = 0;       /* records without rows */
    uint64_t recyclable_ = 0;    /* freed slots whose stamp was reusable at the beginning */
    uint64_t horizon_ = 0;       /* the highest such stamp */
    bool slots_to_list_ = false; /* some page has a slot that may be filled but is not listed */
    NodeId top_node_ = kNoNode;  /* a live node of the highest level */
    uint32_t top_level_ = 0;

    /* Scratch: of one page of records. */
    std::pmr::vector<uint32_t> dying_;
    std::pmr::vector<NodeId> chains_;
    struct Tower {
        NodeId base;
        NodeId first;
    };
    std::pmr::vector<Tower> towers_;
    std::pmr::vector<uint32_t> suspects_;
    std::pmr::vector<uint32_t> empty_;
};

}  // namespace hnsw::core
