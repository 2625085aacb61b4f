/*
 * Asks the processor's cache for memory that will be read soon.  Reads nothing: a wrong address costs a
 * little time.
 */
#pragma once

#include <cstddef>

namespace hnsw::core {

/* `bytes` bytes from `from` on, line by line, into the second-level cache: the first level can wait for a
 * dozen or two lines at a time, a record or a list of vectors has more. */
inline void prefetch_lines(const void *from, size_t bytes) {
    constexpr size_t kLine = 64;
    constexpr int kSecondLevel = 2;
    for (size_t at = 0; at < bytes; at += kLine)
        __builtin_prefetch(static_cast<const char *>(from) + at, 0, kSecondLevel);
}

}  // namespace hnsw::core
