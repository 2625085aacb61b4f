/*
 * Mending the graph after rows are gone, without searching it: a node that lost links takes new
 * ones from the links of the records it lost, whose records are still there.  VACUUM's link pass.
 */
#pragma once

#include <memory_resource>
#include <vector>

#include "core/address_set.h"
#include "core/codes.h"
#include "core/context.h"
#include "core/index.h"
#include "core/record_io.h"
#include "core/visited.h"

namespace hnsw::core {

class Repairer {
public:
    /* live_base, live_upper: the records that had rows when VACUUM looked at them; a covered
     * address that is not in the set is not linked to any longer. */
    Repairer(Index &index, const Context &context, const AddressSet &live_base,
             const AddressSet &live_upper);

    /* Replaces the links of all live records of a page of base or upper records that name a
     * record that is not live.  Returns how many records it changed.  One commit per page (a
     * spanning record: per record) unless somebody else changes a record meanwhile.  On return
     * no record of the page has such a link that was there at the call. */
    uint32_t repair_page(BlockNo block, RecordClass cls);

    /* Makes one of the `reached` base records link to base record `id`, without cutting any other
     * off. False if no place was found. */
    bool attach(NodeId id, const AddressSet &reached);

private:
    struct Candidate {
        float distance;
        NodeId id;
        int32_t slot;    /* where the record links to it; -1: it does not */
        uint32_t vector; /* index into vectors_ */
        float scale;
        float norm;
        uint8_t centre;
    };
    struct Open {
        float distance; /* estimated */
        NodeId id;
    };

    bool gone(RecordClass cls, NodeId id) const {
        const AddressSet &live = cls == RecordClass::kBase ? live_base_ : live_upper_;
        return id == kNoNode || (live.covers(id) && !live.contains(id));
    }
    bool damaged(const RecordView &view, RecordClass cls) const;
    void copy_damaged(BlockNo block, RecordClass cls);
    void rebuild(const RecordImage &record, NodeId self, RecordClass cls);
    void start(NodeId self, const RecordView &view);
    void search(uint32_t wanted, bool wide, const AddressSet *only);
    bool read(NodeId id);
    void expand(const RecordView &view, float own, bool keep_nearest);
    void take(NodeId id, const RecordView &view, float distance, int32_t slot);
    void write_links(const RecordImage &record, uint32_t slots);
    uint32_t apply(BlockNo block, RecordClass cls);
    void drop_links(BlockNo block, RecordClass cls);
    bool link(NodeId from, NodeId to, const Sq8 &v);
    bool swap_link(NodeId from, NodeId to, const Sq8 &v);
    Sq8 sq8(const Candidate &c) const;

    Index &index_;
    Context context_;
    const AddressSet &live_base_;
    const AddressSet &live_upper_;
    uint32_t width_; /* candidates for a node that lost all its links */

    /* The page under repair: damaged records as read, and as they shall be. */
    std::pmr::vector<uint32_t> slots_;
    std::pmr::vector<std::byte> before_;
    std::pmr::vector<std::byte> after_;

    /* The record under repair. */
    RecordClass cls_ = RecordClass::kBase;
    uint32_t level_ = 0;
    uint32_t live_known_ = 0; /* put in open_ and not known to be gone */
    uint64_t addresses_ = 0;  /* no record has this address or a higher one */
    Query query_;
    RecordRef base_;
    RecordRef upper_;
    VisitedSet seen_;                  /* was put in open_, or is linked already */
    VisitedSet read_;                  /* is in candidates_, or turned out not to be live */
    std::pmr::vector<Open> open_;      /* heap, nearest on top */
    std::pmr::vector<NodeId> nearest_; /* the nearest live link of each lost record */
    std::pmr::vector<Candidate> candidates_;
    std::pmr::vector<int8_t> vectors_;
    std::pmr::vector<float> found_; /* heap of distances, farthest on top */
    std::pmr::vector<float> estimates_;
    std::pmr::vector<float> distances_;
    std::pmr::vector<uint32_t> chosen_;
};

/* Links every live base record that no path from the entry point reaches, from a reached one. The
 * sets are as for Repairer; index.meta() is fresh. Returns how many records were linked. */
uint64_t link_unreached(Index &index, const Context &context, const AddressSet &live_base,
                        const AddressSet &live_upper);

}  // namespace hnsw::core
