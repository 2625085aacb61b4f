/* The directory's pages are where they belong, and say of each base record what the record says. */
#include <algorithm>
#include <cstring>

#include "core/verify_state.h"

namespace hnsw::core {

/* Directory pages lie at their blocks and nowhere else. */
void Verifier::check_place(BlockNo block, PageKind kind, Suspicions &out) {
    const bool place = index_.directory().is_directory(block);
    if (place && kind != PageKind::kDirectory && kind != PageKind::kUnused)
        suspect(out, Severity::kError, "directory_page", kNoNode,
                "a page of kind %u in the place of a directory page", static_cast<unsigned>(kind));
    if (!place && kind == PageKind::kDirectory)
        suspect(out, Severity::kError, "directory_page", kNoNode,
                "a directory page in another's place");
}

/* Entries that describe no base record, in page_, are empty.  Those of base pages are compared when
 * the base page's turn comes. */
void Verifier::check_directory(BlockNo block, Suspicions &out) {
    const DirectoryShape &shape = index_.directory();
    if (!shape.is_directory(block))
        return;
    const DirectoryView view{payload(page_.data()), &shape};
    for (uint32_t first = 0; first < shape.entries; first += shape.stride) {
        const uint32_t last = std::min(first + shape.stride, shape.entries);
        const uint16_t *flags = view.flags();
        if (std::all_of(flags + first, flags + last, [](uint16_t f) { return f == 0; }))
            continue;
        const BlockNo covered = block + first / shape.stride;
        bool base = false;
        if (covered != block && covered - block < shape.blocks && covered < store_.size()) {
            PageRef page(store_, covered);
            base = page_kind(page.data()) == PageKind::kBase;
        }
        if (!base)
            suspect(out, Severity::kError, "directory_entry", kNoNode,
                    "entries of block %u, which has no base records", covered);
    }
}

void Verifier::check_directory_entry(NodeId id, const RecordHeader &head, Suspicions &out) {
    const DirectoryShape &shape = index_.directory();
    if (shape.is_directory(shape.block_of(id)))
        return; /* directory_page says so */
    const DirectoryEntry entry = read_entry(store_, shape, id);
    const DirectoryEntry wanted = entry_of(head, entry.row);
    const char *wrong = nullptr;
    if (entry.tid.tid() != wanted.tid.tid() || entry.tid.dead())
        wrong = "first row";
    else if (entry.flags != wanted.flags)
        wrong = "flags";
    else if (entry.row != wanted.row)
        wrong = "attributes without a row";
    if (wrong == nullptr && (entry.row.nulls >> shape.attributes) != 0)
        wrong = "NULLs of attributes that are not there";
    for (uint32_t i = 0; wrong == nullptr && i < shape.attributes; i++)
        if ((entry.row.nulls >> i & 1) != 0 && entry.row.key[i] != 0)
            wrong = "key of a NULL";
    if (wrong != nullptr)
        suspect(out, Severity::kError, "directory_entry", id,
                "%s: row (%u,%u), flags %x; the record's are (%u,%u), %x", wrong,
                entry.tid.tid().block, entry.tid.tid().offset, entry.flags, wanted.tid.tid().block,
                wanted.tid.tid().offset, wanted.flags);
}

}  // namespace hnsw::core
