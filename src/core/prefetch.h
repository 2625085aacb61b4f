/*
 * Asks the processor's cache for memory that will be read soon.  Reads nothing: a wrong address costs a
 * little time.
 */
#pragma once

#include <cstddef>

namespace hnsw::core {

/* `bytes` bytes from `from` on, line by line. */
inline void prefetch_lines(const void *from, size_t bytes) {
    constexpr size_t kLine = 64;
    for (size_t at = 0; at < bytes; at += kLine)
        __builtin_prefetch(static_cast<const char *>(from) + at);
}

}  // namespace hnsw::core
