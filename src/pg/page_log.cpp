// Deltas of pages, and the generic WAL record that carries them.
#include "pg/page_log.h"

#include "pg/buffer_store.h"

namespace hnsw::pg {

namespace {

constexpr size_t kWord = sizeof(uint64_t);
constexpr size_t kFragmentHeader = 2 * sizeof(OffsetNumber);

// Fragments are at least a word apart, which is more than the header of the next one takes.
static_assert(kFragmentHeader <= kWord);

// What changes in one page.
struct Delta {
    std::byte bytes[BLCKSZ + kFragmentHeader];
    uint32_t size;

    void compute(const std::byte *page, const std::byte *image);
    void apply(std::byte *page) const;
};

bool same_words(const std::byte *a, const std::byte *b, size_t words) {
    uint64_t differing = 0;
    for (size_t i = 0; i < words; i++) {
        uint64_t x;
        uint64_t y;
        memcpy(&x, a + i * kWord, kWord);
        memcpy(&y, b + i * kWord, kWord);
        differing |= x ^ y;
    }
    return differing == 0;
}

void Delta::compute(const std::byte *page, const std::byte *image) {
    constexpr size_t kStride = 8; /* words that are compared at once while they are the same */
    size = 0;
    for (size_t at = 0; at < BLCKSZ;) {
        if (at % (kStride * kWord) == 0 && same_words(page + at, image + at, kStride)) {
            at += kStride * kWord;
            continue;
        }
        size_t begin = at;
        while (at < BLCKSZ && !same_words(page + at, image + at, 1))
            at += kWord;
        if (at == begin) {
            at += kWord;
            continue;
        }
        size_t end = at;
        while (page[begin] == image[begin])
            begin++;
        while (page[end - 1] == image[end - 1])
            end--;
        const OffsetNumber header[2] = {static_cast<OffsetNumber>(begin),
                                        static_cast<OffsetNumber>(end - begin)};
        memcpy(bytes + size, header, kFragmentHeader);
        memcpy(bytes + size + kFragmentHeader, image + begin, end - begin);
        size += static_cast<uint32_t>(kFragmentHeader + (end - begin));
    }
}

void Delta::apply(std::byte *page) const {
    for (uint32_t at = 0; at < size;) {
        OffsetNumber header[2];
        memcpy(header, bytes + at, kFragmentHeader);
        memcpy(page + header[0], bytes + at + kFragmentHeader, header[1]);
        at += static_cast<uint32_t>(kFragmentHeader) + header[1];
    }
}

// A commit computes and uses them without calling anything that might commit again.
Delta deltas[core::kMaxTxnPages];

}  // namespace

void apply_and_log(Relation index, std::span<const core::TxnPage> pages, bool logged) {
    for (size_t i = 0; i < pages.size(); i++)
        if (pages[i].image != nullptr && !pages[i].whole)
            deltas[i].compute(pages[i].data, pages[i].image);
    auto changes = [&](size_t i) {
        return pages[i].image != nullptr && (pages[i].whole || deltas[i].size != 0);
    };

    START_CRIT_SECTION();
    bool any = false;
    for (size_t i = 0; i < pages.size(); i++) {
        if (!changes(i))
            continue;
        const Buffer buffer = buffer_of(pages[i].handle);
        if (pages[i].whole)
            memcpy(BufferGetPage(buffer), pages[i].image, BLCKSZ);
        else
            deltas[i].apply(reinterpret_cast<std::byte *>(BufferGetPage(buffer)));
        MarkBufferDirty(buffer);
        any = true;
    }
    if (any && logged && RelationNeedsWAL(index)) {
        XLogBeginInsert();
        uint8 id = 0;
        for (size_t i = 0; i < pages.size(); i++) {
            if (!changes(i))
                continue;
            const uint8 whole = pages[i].whole ? REGBUF_FORCE_IMAGE : 0;
            XLogRegisterBuffer(id, buffer_of(pages[i].handle), REGBUF_STANDARD | whole);
            if (!pages[i].whole)
                XLogRegisterBufData(id, reinterpret_cast<char *>(deltas[i].bytes), deltas[i].size);
            id++;
        }
        const XLogRecPtr lsn = XLogInsert(RM_GENERIC_ID, 0);
        for (size_t i = 0; i < pages.size(); i++)
            if (changes(i))
                PageSetLSN(BufferGetPage(buffer_of(pages[i].handle)), lsn);
    }
    END_CRIT_SECTION();
}

}  // namespace hnsw::pg
