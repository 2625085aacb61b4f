/* Where the records of a built index lie. */
#include "core/build_places.h"

namespace hnsw::core {

namespace {

constexpr uint32_t kFloatsPerPage = kPayloadBytes / sizeof(float);

constexpr uint32_t ceil_div(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

}  // namespace

BuildPlaces::BuildPlaces(const CreateOptions &options, bool has_centre)
    : layouts(layouts_of(options)),
      directory(DirectoryShape::make(options.attributes, layouts)),
      centre_pages(has_centre ? ceil_div(options.dim, kFloatsPerPage) : 0) {}

uint32_t RecordExtent::from_page(uint32_t page) const {
    if (page <= first)
        return 0;
    const uint32_t dense = IndexLayouts::dense_blocks(directory->data_block(page)) -
                           IndexLayouts::dense_blocks(directory->data_block(first));
    return ceil_div(page - first, layouts->usual.parts) * layouts->usual.per_page +
           dense * (layouts->dense.per_page - layouts->usual.per_page);
}

/* The data page of record i, its first one if it has several. */
uint32_t RecordExtent::page_of(uint32_t i) const {
    if (!layouts->has_dense())
        return first + i / layouts->usual.per_page * layouts->usual.parts;
    /* As many lie between any two directory pages. Where the dense ones are among them hardly matters:
     * the guess is off by a page or two. */
    const uint32_t per_page = layouts->usual.per_page;
    const uint32_t more = layouts->dense.per_page - per_page;
    const uint32_t stretch =
        (directory->blocks - 1) * per_page + directory->blocks / kDensePeriod * more;
    uint32_t page = first + i / stretch * (directory->blocks - 1) +
                    i % stretch * kDensePeriod / (per_page * kDensePeriod + more);
    while (from_page(page) > i)
        page--;
    while (from_page(page + 1) <= i)
        page++;
    return page;
}

uint32_t RecordExtent::pages() const {
    return count == 0 ? 0 : page_of(count - 1) - first + layouts->usual.parts;
}

NodeId RecordExtent::id(uint32_t i) const {
    const uint32_t page = page_of(i);
    const uint32_t slot = layouts->usual.parts > 1 ? 0 : i - from_page(page);
    return layouts->id_of(directory->data_block(page), slot);
}

BlockNo RecordExtent::partial() const {
    if (count == 0 || layouts->usual.parts > 1)
        return kNoBlock;
    const uint32_t last = page_of(count - 1);
    return from_page(last + 1) > count ? directory->data_block(last) : kNoBlock;
}

}  // namespace hnsw::core
