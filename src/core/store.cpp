/* PageTxn: which pages a change holds. What holding means is the store's business. */
#include "core/store.h"

#include <cstdlib>

#include "core/directory.h"

namespace hnsw::core {

TxnPage *PageTxn::find(BlockNo block) {
    for (TxnPage &page : pages())
        if (page.block == block)
            return &page;
    return nullptr;
}

TxnPage &PageTxn::add() {
    if (count_ == kMaxTxnPages)
        std::abort(); /* our own bug: no caller asks for more */
    pages_[count_] = TxnPage{};
    return pages_[count_++];
}

const std::byte *PageTxn::latch(BlockNo block) {
    TxnPage *page = find(block);
    if (page == nullptr) {
        page = &add();
        page->block = block;
        store_.txn_latch(*page);
    }
    return page->image != nullptr ? page->image : page->data;
}

std::byte *PageTxn::modify(BlockNo block) {
    latch(block);
    TxnPage *page = find(block);
    if (page->image == nullptr)
        store_.txn_modify(*this, *page, false);
    return page->image;
}

std::byte *PageTxn::initialise(BlockNo block, PageKind kind) {
    latch(block);
    TxnPage *page = find(block);
    store_.txn_modify(*this, *page, true);
    init_page(page->image, kind);
    return page->image;
}

std::byte *PageTxn::extend(const DirectoryShape &shape, PageKind kind, BlockNo *block) {
    TxnPage fresh;
    store_.txn_extend(fresh);
    while (shape.is_directory(fresh.block)) {
        PageTxn own(store_);
        own.add() = fresh;
        own.initialise(fresh.block, PageKind::kDirectory);
        own.commit();
        fresh = TxnPage{};
        store_.txn_extend(fresh);
    }
    add() = fresh;
    *block = fresh.block;
    return initialise(fresh.block, kind);
}

void PageTxn::commit() {
    if (count_ != 0)
        store_.txn_commit(*this);
    count_ = 0;
}

void PageTxn::release() {
    if (count_ != 0)
        store_.txn_abort(*this);
    count_ = 0;
}

}  // namespace hnsw::core
