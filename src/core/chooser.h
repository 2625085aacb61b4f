/*
 * Which way a filtered search goes: a pure function of what is known when the scan begins (and again
 * while it runs).  docs/filtering-measured.md has the measurements behind the constants.
 */
#pragma once

#include <cstdint>

#include "core/sample_memo.h"

namespace hnsw::core {

enum class Strategy : uint8_t {
    kAuto,        /* choose() decides */
    kExact,       /* distances of all matching rows */
    kFilterFirst, /* ACORN-1: only matching nodes are scored, two hops over the others */
    kPenalised,   /* nodes that do not match enter the beam with their estimate raised */
    kPreFilter,   /* the plain search, whose nodes are tested as they leave */
    kPostFilter,  /* the ordered stream is filtered by whoever reads it */
};

/* Below this share of the nodes, two hops do not connect those that match at random. */
inline constexpr double kConnectedShare = 0.04;

/* Matching nodes that a search is to find, at least, for every row wanted. */
inline constexpr double kMatchesPerRow = 1.1;

/* The same of a search with a beam of nodes that pass, for every one that a plain beam is to find: it knows
 * less of what surrounds them. */
inline constexpr double kPassingMatches = 1.7;

/* What a record costs that a walk reads, testing all neighbours; costs are in record reads of an
 * unfiltered search. */
inline constexpr double kTestingRead = 1.2;

/* What filtered searches have shown of an index; the values here stand for one not searched yet. */
struct Experience {
    double cover = 0.35;     /* nodes a beam finds for sure, per node of its width */
    double penalised = 1.3;  /* what this walk reads, over what its model says */
    double filter_first = 1; /* the same of the other */
    SampleMemo sample;       /* of its nodes, all of which match */
};

/* What a node's test asks of a set of rows (tid_set.h). */
enum class RowTest : uint8_t {
    kNone,   /* there is none */
    kKernel, /* TidSet::bits(), a page at a time */
    kSearch, /* TidSet::contains() */
};

/* What the choice depends on. */
struct FilterFacts {
    double nodes = 0;      /* in the graph */
    double matching = 0;   /* of them, as estimated or counted */
    bool counted = false;  /* `matching` is a count, not an estimate */
    double seen = 0;       /* nodes near the query that a search has come to so far... */
    double matched = 0;    /* ...and of them, those that match */
    double reads = 0;      /* records it has read for them */
    Experience index;      /* of its searches */
    bool prefilter = true; /* nodes can be tested before their rows are fetched */
    RowTest rows = RowTest::kNone;
    uint32_t k = 10;         /* rows wanted */
    uint32_t ef_search = 40; /* width of a beam of distances that do not err... */
    uint32_t ef = 40;        /* ...and of the plain beam of estimates that does as well */
    uint32_t dim = 0;        /* padded dimensions */
    uint32_t records_per_page = 1;
    uint32_t directory_pages = 0; /* of the index */
    double known_pages = 0;       /* of them: what matches there is at hand */
};

struct Choice {
    Strategy strategy = Strategy::kPreFilter;
    const char *reason = ""; /* for EXPLAIN: a short phrase, static */
    uint32_t width = 0;      /* nodes a walk covers before it may end, of any kind... */
    uint32_t matches = 0;    /* ...and nodes that match */
    uint32_t passing =
        0;            /* kPreFilter: width of a beam of nodes that pass, beside the plain one, 0: it
                                 needs none. With it kPassingMatches times as many matches are found */
    double reads = 0; /* of a walk: records it is thought to read */
    double expected_cost = 0; /* still to come, in record reads of an unfiltered search */
    double exact_cost = 0;    /* the same of kExact */
};

/* What share of further rows will pass, of which `share` was expected and `passed` of `tried` did: as near
 * to what was expected as that allows, within `doubt` standard deviations (Wilson's interval for a
 * proportion: Probable inference, J. Am. Stat. Assoc. 22, 1927). */
double share_after(double share, double tried, double passed, double doubt);

/* The width of a search for rows of which `share` meet a condition, where `ef` would do for rows of any
 * kind. The rarer they are the farther the last one is that is wanted, and of rows a little farther than
 * the nearest a beam misses more. Up to half as wide again; a search for so many rows that this is not
 * enough for them is made wider on that account. */
double filtered_width(double ef, double share);

/* The cheapest strategy. */
Choice choose(const FilterFacts &facts);

/* The same if walks had not turned out dearer than usual on this index. */
Choice choose_afresh(FilterFacts facts);

/* How a given strategy (not kAuto) would go about it. */
Choice plan(Strategy strategy, const FilterFacts &facts);

}  // namespace hnsw::core
