/* Page initialisation: the 24 header bytes that PostgreSQL's PageInit would write. */
#include "core/page.h"

#include <cstring>

namespace hnsw::core {

namespace {

/* PageHeaderData of PostgreSQL 15 to 18; pg/buffer_store.cpp asserts the offsets. */
struct ServerPageHeader {
    uint64_t lsn;
    uint16_t checksum;
    uint16_t flags;
    uint16_t lower;
    uint16_t upper;
    uint16_t special;
    uint16_t page_size_version;
    uint32_t prune_xid;
};
static_assert(sizeof(ServerPageHeader) == kPageHeaderBytes);

constexpr uint16_t kLayoutVersion = 4;

}  // namespace

void init_page(std::byte *page, PageKind kind) {
    std::memset(page, 0, kPageSize);
    auto *header = reinterpret_cast<ServerPageHeader *>(page);
    /* No hole: records are addressed by number, so any part of the payload may be in use. */
    header->lower = kPageSize - kPageTrailerBytes;
    header->upper = kPageSize - kPageTrailerBytes;
    header->special = kPageSize - kPageTrailerBytes;
    header->page_size_version = kPageSize | kLayoutVersion;
    trailer(page) = {.next = kNotListed, .kind = kind, .magic = kPageMagic};
}

}  // namespace hnsw::core
