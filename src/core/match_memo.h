/*
 * What the pass over matching nodes has found out about a filter, or else a sample, kept from scan to scan
 * by whoever can tell that it is about the same index and filter (pg/filter_memo.h).  A scan reads and fills
 * it.  What has changed since the pass, the versions of the directory's pages tell: a page that has the
 * version it was tested at need not be tested again.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <optional>
#include <span>
#include <vector>

#include "core/ids.h"
#include "core/sample_memo.h"

namespace hnsw::core {

class Index;
struct Filter;

struct MatchMemo {
    /* More are not kept: then reading their records costs more than finding them. */
    static constexpr size_t kMostNodes = 16384;
    /* Nor is anything about indexes with more directory pages: some 8 million rows. */
    static constexpr size_t kMostPages = 16384;

    /* A directory page as it was tested. */
    struct Page {
        uint64_t version; /* page_version() */
        uint32_t live;    /* its nodes */
        uint32_t end;     /* of `ids`: behind those that passed */
    };

    explicit MatchMemo(std::pmr::memory_resource *memory)
        : ids(memory), pages(memory), rows(memory), new_ids(memory), new_pages(memory) {}

    /* The filter is another one, or the index. Scans that have begun before no longer use it. */
    void reset() {
        number++;
        complete = false;
        sample = {};
        ids.clear();
        pages.clear();
    }

    /* A pass begins, by itself or beside what the last one has found. */
    void start() {
        new_ids.clear();
        new_pages.clear();
    }
    /* The pass has found these of the next page's nodes. False: that is too much to be kept. */
    bool add(uint64_t version, uint32_t live, std::span<const NodeId> found) {
        if (new_ids.size() + found.size() > kMostNodes || new_pages.size() == kMostPages)
            return false;
        new_ids.insert(new_ids.end(), found.begin(), found.end());
        new_pages.push_back({version, live, static_cast<uint32_t>(new_ids.size())});
        return true;
    }
    /* The pass has come to the end of the index. */
    void finish(BlockNo index_blocks) {
        blocks = index_blocks;
        ids.swap(new_ids);
        pages.swap(new_pages);
        nodes = 0;
        for (const Page &page : pages)
            nodes += page.live;
        complete = true;
        current = true;
        has_rows.reset();
    }

    /* Makes `rows` all rows of the index that may meet the filter, which is the one that `ids` are about, if
     * `current` holds and all of them have vectors. False: they are not to be had this way. Latches one
     * page at a time; may poll(). scratch: for the time of the call. */
    bool find_rows(Index &index, const Filter &filter, std::pmr::memory_resource *scratch);

    /* The nodes of directory page `page` that passed. */
    std::span<const NodeId> of_page(size_t page) const {
        const uint32_t begin = page == 0 ? 0 : pages[page - 1].end;
        return {ids.data() + begin, pages[page].end - begin};
    }

    std::pmr::vector<NodeId> ids; /* of all nodes that passed, ascending, once `complete` */
    std::pmr::vector<Page> pages; /* where they are */
    double nodes = 0;             /* live ones */
    BlockNo blocks = 0;           /* of the index */
    SampleMemo sample;            /* taken by searches other than the pass */
    uint64_t number = 1;          /* of what it is about */
    bool complete = false;
    bool current = false; /* no page has changed since; whoever keeps the memo takes it back */
    std::pmr::vector<HeapTid> rows; /* in order of the heap, if find_rows() has found them */
    std::optional<bool> has_rows;   /* it has; empty: it was not asked yet */

    /* Of the pass that is under way. */
    std::pmr::vector<NodeId> new_ids;
    std::pmr::vector<Page> new_pages;

private:
    bool read_rows(Index &index, const Filter &filter, std::pmr::memory_resource *scratch);
    bool read_rows_of(NodeId id, Index &index, const Filter &filter,
                      std::pmr::memory_resource *scratch);
};

}  // namespace hnsw::core
