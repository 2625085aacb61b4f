/*
 * What the parts of one verification share.  Private to verify.cpp (driver, lists, rows),
 * verify_record.cpp (records and what hangs on them) and verify_directory.cpp; docs/check.md lists the
 * findings.
 */
#pragma once

#include <cstdarg>
#include <memory_resource>
#include <vector>

#include "core/address_set.h"
#include "core/posting.h"
#include "core/record_io.h"
#include "core/verify.h"

namespace hnsw::core {

/* What one look found; reported if further looks find it too. */
struct Suspicion {
    Severity severity;
    const char *code;
    NodeId node;
    char detail[120];
};
using Suspicions = std::pmr::vector<Suspicion>;

/* Not [[gnu::format]]: gcc 12 then still suggests the attribute. */
__attribute__((format(printf, 5, 6))) void suspect(Suspicions &out, Severity severity,
                                                   const char *code, NodeId node,
                                                   const char *format, ...);

class Verifier {
public:
    Verifier(Index &index, const Context &context, FindingSink &sink);
    void run();

private:
    /* Looks until the findings stand still; reports what every look found. look(out) may be run
     * any number of times. */
    template <class Look>
    void settle(BlockNo block, Look &&look);

    void check_page(BlockNo block);
    void check_records(BlockNo block, RecordClass cls, bool first, Suspicions &out);
    void check_outer(BlockNo block, const std::byte *page, Suspicions &out);
    void check_meta_page();
    void check_entry(const MetaPage &meta, Suspicions &out);
    void check_free_list(PageKind kind);
    bool on_free_list(BlockNo wanted, PageKind kind);
    void check_tid_list(bool zero_list);
    bool is_fill_page(BlockNo block);
    void check_centres();
    void check_unlisted(BlockNo block, const std::byte *page, Suspicions &out);
    void check_part(BlockNo block, Suspicions &out);
    void check_chunks(BlockNo block, Suspicions &out);
    void check_tid_page(BlockNo block, const std::byte *page, Suspicions &out);
    struct Place {
        uint64_t tid; /* HeapTid::key() */
        NodeId node;
    };
    void check_duplicates();
    void find_places(const std::pmr::vector<uint64_t> &keys, std::pmr::vector<Place> &places);
    void check_reachable();

    /* verify_record.cpp */
    void check_record(NodeId id, RecordClass cls, const RecordView &view, Suspicions &out);
    void check_header(NodeId id, RecordClass cls, const RecordView &view, Suspicions &out);
    void check_tower(NodeId id, RecordClass cls, const RecordHeader &head, Suspicions &out);
    void check_links(NodeId id, RecordClass cls, const RecordView &view, Suspicions &out);
    void check_edge(const RecordView &view, uint32_t slot, const RecordView &target, NodeId id,
                    Suspicions &out);
    void check_chain(NodeId id, const RecordHeader &head, Suspicions &out);

    /* verify_directory.cpp */
    void check_place(BlockNo block, PageKind kind, Suspicions &out);
    void check_directory(BlockNo block, Suspicions &out);
    void check_directory_entry(NodeId id, const RecordHeader &head, Suspicions &out);

    void rows_of(NodeId id, const RecordHeader &head);
    void row(HeapTid tid, const Attributes *attributes);
    void check_tid(HeapTid tid, NodeId node, Suspicions &out);

    Index &index_;
    PageStore &store_;
    Context context_;
    FindingSink &sink_;
    BlockNo blocks_ = 0;

    Suspicions first_;
    Suspicions again_;
    std::pmr::vector<std::byte> page_;   /* copy of the page under test */
    std::pmr::vector<std::byte> record_; /* copy of the record under test */
    std::pmr::vector<std::byte> edge_;   /* its header, vector and one edge encoded anew */
    RecordRef base_;
    RecordRef upper_;
    AddressSet live_;   /* base records with rows */
    AddressSet chunks_; /* posting chunks found in their chain */
    AddressSet listed_; /* blocks on a free list, in a TID list or a centre chain */
    struct PackedTid {
        uint8_t bytes[6];
    };
    std::pmr::vector<PackedTid> tids_;
    std::pmr::vector<StoredTid> chain_;
    std::pmr::vector<Attributes> chain_rows_; /* their attributes */
};

}  // namespace hnsw::core
