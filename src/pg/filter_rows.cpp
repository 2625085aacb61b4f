// Queues of rows by distance.
#include "pg/filter_rows.h"

namespace hnsw::pg {

namespace {

struct Farther {
    bool operator()(const RankedRow &a, const RankedRow &b) const { return b < a; }
};

}  // namespace

void RowQueue::clear() {
    rows_.clear();
    end();
}

void RowQueue::add(const RankedRow &row) {
    rows_.push_back(row);
    std::push_heap(rows_.begin(), rows_.end(), Farther{});
}

void RowQueue::add_bounded(const RankedRow &row, size_t limit) {
    if (!spilled_ && (rows_.size() + 1) * sizeof(RankedRow) > limit) {
        spilled_ = true;
        numbers_.begin();
        nulls_.begin();
        for (const RankedRow &held : rows_)
            spill(held);
        rows_.clear();
        rows_.shrink_to_fit();
    }
    if (spilled_)
        spill(row);
    else
        rows_.push_back(row);
}

void RowQueue::spill(const RankedRow &row) {
    (row.distance.isnull ? nulls_ : numbers_).put(row.distance.value, row.tid);
}

void RowQueue::finish() {
    if (spilled_) {
        numbers_.sort();
        nulls_.sort();
    } else {
        std::make_heap(rows_.begin(), rows_.end(), Farther{});
    }
}

bool RowQueue::pop(RankedRow *row) {
    if (spilled_) {
        row->distance.isnull = false;
        if (numbers_.next(&row->distance.value, &row->tid))
            return true;
        row->distance.isnull = true;
        return nulls_.next(&row->distance.value, &row->tid);
    }
    if (rows_.empty())
        return false;
    std::pop_heap(rows_.begin(), rows_.end(), Farther{});
    *row = rows_.back();
    rows_.pop_back();
    return true;
}

void RowQueue::end() {
    numbers_.end();
    nulls_.end();
    spilled_ = false;
}

void NearestK::begin(size_t k) {
    k_ = k;
    heap_.clear();
}

void NearestK::add(const Distance &distance) {
    if (k_ == 0)
        return;
    if (heap_.size() == k_) {
        if (heap_.front() <= distance)
            return;
        std::pop_heap(heap_.begin(), heap_.end());
        heap_.back() = distance;
    } else {
        heap_.push_back(distance);
    }
    std::push_heap(heap_.begin(), heap_.end());
}

}  // namespace hnsw::pg
