/*
 * Which nodes meet a filter, found out from the directory as a search asks: one bit per node, decided
 * page by page, so that whatever a search comes back to costs a lookup.
 *
 * A bit that is set means "maybe" (kEntryMany, hashed keys, lossy heap blocks); one that is not set is
 * final for the snapshot of the scan: rows that enter the index later are none of its rows.
 */
#pragma once

#include <cstdint>
#include <memory_resource>
#include <vector>

#include "core/context.h"
#include "core/directory.h"
#include "core/filter.h"
#include "core/store.h"

namespace hnsw::core {

class PassMap {
public:
    PassMap(PageStore &store, const Context &context)
        : store_(store), context_(context), words_(context.memory), touches_(context.memory) {}

    /* Forgets what is known and takes up a filter, whose parts outlive its use. Bits are kept if they
     * fit in byte_budget; otherwise every lookup reads its directory page. blocks: of the index, 0 if not
     * known (to ask is a system call in the server). */
    void begin(const DirectoryShape &shape, const Filter &filter, size_t byte_budget,
               BlockNo blocks = 0);

    /* Whether rows of the node may meet the filter. No page is held by the caller: this may read
     * one. Ids that name no live record never pass. */
    bool passes(NodeId id) {
        bool pass = false;
        return knows(id, &pass) ? pass : find_out(id);
    }
    /* The same, for who asks about a few nodes of many pages: tests no others. */
    bool passes_alone(NodeId id) {
        bool pass = false;
        return knows(id, &pass) ? pass : test_alone(id);
    }

    /* Directory pages, numbered from 0 in the order of the index. */
    uint32_t pages() const { return pages_; }
    /* Of the index, when its pages were numbered. */
    BlockNo blocks() const { return blocks_; }
    /* A page as it was met. */
    struct Tested {
        uint64_t version = 0; /* page_version() */
        uint32_t live = 0;    /* nodes */
        bool known = false;   /* the version is the one known: nothing was counted or appended */
    };
    /* Appends the ids of a page's nodes that pass, ascending, unless the page's version is `known`
     * (0: none is). */
    Tested matching_of(uint32_t page, uint64_t known, std::pmr::vector<NodeId> &out);
    /* Asks for what matching_of() reads of a page, if that is its version alone. */
    void prefetch_version(uint32_t page);

    /* What `pages` directory pages, evenly spread, say about the whole index. The rows of a TidSet are
     * not looked for: its size tells how many match, conditions thought independent of it. */
    struct Estimate {
        double nodes = 0;     /* live */
        double matching = 0;  /* of them, those that pass */
        bool counted = false; /* every page was read: these are no estimates */
    };
    Estimate sample(uint32_t pages);
    /* The same of an index of so many nodes, for a filter without conditions: reads nothing. */
    Estimate of_nodes(double nodes) const;

    size_t bytes() const { return words_.capacity() * sizeof(Word) + touches_.capacity(); }

private:
    /* More than the entries of any directory page. */
    static constexpr uint32_t kPageWords = kPayloadBytes / 8 / 64 + 1;

    struct Word {
        uint64_t known = 0;
        uint64_t pass = 0;
    };
    /* The verdict on all entries of a page. */
    struct PageBits {
        uint64_t pass[kPageWords];
        Tested page;
    };

    bool knows(NodeId id, bool *pass) const {
        const size_t word = id / 64;
        const uint64_t bit = uint64_t{1} << (id % 64);
        if (word >= words_.size() || (words_[word].known & bit) == 0)
            return false;
        *pass = (words_[word].pass & bit) != 0;
        return true;
    }
    bool find_out(NodeId id);
    bool test_alone(NodeId id);
    void make_room();
    void narrow_to_rows(Estimate *estimate) const;
    bool open(uint32_t number, PageRef *page, DirectoryView *view);
    void evaluate(uint32_t number, bool test_rows, uint64_t known, PageBits *out);
    void prefetch(uint32_t number);
    void keep(uint32_t number, const PageBits &bits);
    size_t word_count() const {
        return static_cast<size_t>(uint64_t{blocks_} * shape_.stride / 64 + 1);
    }
    BlockNo block_of(uint32_t number) const { return 1 + number * shape_.blocks; }
    uint32_t page_of(NodeId id) const { return (id - shape_.stride) / span_; }
    NodeId first_of(uint32_t number) const { return block_of(number) * shape_.stride; }

    PageStore &store_;
    Context context_;
    DirectoryShape shape_;
    Filter filter_;
    uint32_t span_ = 1; /* ids per directory page */
    uint32_t pages_ = 0;
    BlockNo blocks_ = 0;                /* of the index, at least */
    bool remembers_ = false;            /* bits fit in the budget */
    std::pmr::vector<Word> words_;      /* by node id; empty until a node is asked for by itself */
    std::pmr::vector<uint8_t> touches_; /* entries asked for one by one, by page */
};

}  // namespace hnsw::core
