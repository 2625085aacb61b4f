/*
 * The beam of a graph search: the `width` nearest candidates seen, and which of them still wait to be
 * expanded.  A sorted array: beams are short and most pushes land near the end.  Candidates that
 * fall out unexpanded are kept aside, so that a wider beam can take them up again.
 */
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory_resource>
#include <vector>

#include "core/ids.h"
#include "core/sorted_place.h"

namespace hnsw::core {

class Beam {
public:
    struct Entry {
        float distance;
        NodeId id; /* kNoNode once expanded */
    };

    explicit Beam(std::pmr::memory_resource *memory) : entries_(memory), spilled_(memory) {}

    /* Empties the beam. `keep_spilled`: whether widen() will be called. */
    void reset(size_t width, bool keep_spilled) {
        width_ = width;
        keep_spilled_ = keep_spilled;
        entries_.clear();
        entries_.reserve(width);
        spilled_.clear();
        next_ = 0;
        bound_ = std::numeric_limits<float>::infinity();
    }

    /* Only candidates nearer than this enter. Infinite until the beam is full. */
    float bound() const { return bound_; }
    size_t width() const { return width_; }

    void push(float distance, NodeId id) {
        if (!(distance < bound_)) {
            if (keep_spilled_)
                spilled_.push_back({distance, id});
            return;
        }
        size_t last = entries_.size();
        if (last < width_) {
            entries_.resize(last + 1);
        } else {
            last--;
            if (keep_spilled_ && entries_[last].id != kNoNode)
                spilled_.push_back(entries_[last]);
        }
        const size_t place = sorted_place(entries_.data(), last, distance);
        Entry *at = entries_.data() + place;
        std::memmove(at + 1, at, (last - place) * sizeof(Entry));
        *at = {distance, id};
        next_ = std::min(next_, place);
        if (entries_.size() == width_)
            bound_ = entries_.back().distance;
    }

    /* Takes the nearest candidate not yet expanded. False: there is none. */
    bool pop(Entry *out) {
        while (next_ < entries_.size() && entries_[next_].id == kNoNode)
            next_++;
        if (next_ >= entries_.size())
            return false;
        *out = entries_[next_];
        entries_[next_++].id = kNoNode;
        return true;
    }

    /* The candidate pop() would take next; kNoNode, infinitely far, if none. */
    Entry peek() const {
        for (size_t i = next_; i < entries_.size(); i++)
            if (entries_[i].id != kNoNode)
                return entries_[i];
        return {std::numeric_limits<float>::infinity(), kNoNode};
    }

    /* Makes the beam wider and takes up what had fallen out. */
    void widen(size_t width) {
        width_ = width;
        bound_ = std::numeric_limits<float>::infinity();
        entries_.reserve(width);
        size_t room = width > entries_.size() ? width - entries_.size() : 0;
        size_t taken = std::min(room, spilled_.size());
        auto nearer = [](const Entry &a, const Entry &b) { return a.distance < b.distance; };
        if (taken < spilled_.size())
            std::nth_element(spilled_.begin(), spilled_.begin() + static_cast<ptrdiff_t>(taken),
                             spilled_.end(), nearer);
        entries_.insert(entries_.end(), spilled_.begin(),
                        spilled_.begin() + static_cast<ptrdiff_t>(taken));
        spilled_.erase(spilled_.begin(), spilled_.begin() + static_cast<ptrdiff_t>(taken));
        std::sort(entries_.begin(), entries_.end(), nearer);
        next_ = 0;
        if (entries_.size() >= width_)
            bound_ = entries_.back().distance;
    }

    /* Calls take(entry) with every candidate that still waits, in the beam or aside. The beam is of no
     * use afterwards, until reset(). */
    template <class Take>
    void hand_over(Take take) {
        for (const std::pmr::vector<Entry> *part : {&entries_, &spilled_})
            for (const Entry &entry : *part)
                if (entry.id != kNoNode)
                    take(entry);
        entries_.clear();
        spilled_.clear();
    }

    bool exhausted() const { return spilled_.empty() && peek().id == kNoNode; }
    size_t bytes() const { return (entries_.capacity() + spilled_.capacity()) * sizeof(Entry); }

private:
    std::pmr::vector<Entry> entries_; /* ascending by distance */
    std::pmr::vector<Entry> spilled_;
    size_t next_ = 0; /* no unexpanded entry before this */
    size_t width_ = 0;
    float bound_ = 0;
    bool keep_spilled_ = false;
};

}  // namespace hnsw::core
