/*
 * What every operation of the core is handed beside its data: memory and counters.  The core has
 * no globals; randomness comes from the hash of the value (see level_of in index.h).
 */
#pragma once

#include <cstdint>
#include <memory_resource>

namespace hnsw::core {

/* Counters for EXPLAIN, tests and benchmarks. Plain adds, one backend each. */
struct Stats {
    uint64_t records_read = 0;       /* base and upper records visited: page pins of a search */
    uint64_t estimates = 0;          /* distances estimated from codes */
    uint64_t distances = 0;          /* distances from own vectors */
    uint64_t late_rows = 0;          /* rows returned after a row that is farther (decision 7) */
    uint64_t resumes = 0;            /* times a scan went on beyond its first beam */
    uint64_t exact_pass_records = 0; /* records read by the exact pass at the end of a scan */
    uint64_t directory_reads = 0;    /* directory pages read to test a filter */
};

struct Context {
    std::pmr::memory_resource *memory;
    Stats *stats;
};

}  // namespace hnsw::core
