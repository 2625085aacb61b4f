/*
 * What a sample of the directory has shown of a filter, or of an index without one, kept from scan to scan
 * for a while: only a choice depends on it, and a session that asks again and again need not look again
 * and again.
 */
#pragma once

#include <cstdint>

namespace hnsw::core {

struct SampleMemo {
    /* Scans that may go by it before the next sample is taken. */
    static constexpr uint32_t kUses = 32;

    double nodes = 0;      /* live */
    double matching = 0;   /* of them, those that pass */
    uint32_t pages = 0;    /* directory pages read for it... */
    uint32_t of_pages = 0; /* ...of an index of so many, */
    uint32_t uses_left = 0;
};

}  // namespace hnsw::core
