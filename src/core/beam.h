/*
 * The beam of a graph search: the nearest candidates seen, of which the `width` nearest are expanded, or those
 * within a reach. A sorted array: beams are short and most pushes land near the end.
 *
 * A beam that may become wider has room for more candidates than it expands, and keeps those aside
 * that fall out unexpanded.
 */
#pragma once

#include <algorithm>
#include <cmath>
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

    explicit Beam(std::pmr::memory_resource *memory)
        : entries_(memory), spilled_(memory), kept_distances_(memory), kept_ids_(memory) {}

    /* Empties the beam. It may be widened, at no loss up to `room`; 0: it will not be. */
    void reset(size_t width, size_t room = 0) {
        width_ = width;
        room_ = std::max(width, room);
        keep_spilled_ = room != 0;
        entries_.clear();
        entries_.reserve(room_);
        spilled_.clear();
        next_ = 0;
        reach_ = std::numeric_limits<float>::infinity();
        keeps_ = false;
        kept_ = 0;
        most_ = room_;
        bound_ = std::numeric_limits<float>::infinity();
    }

    /* Before the first candidate: there will be a reach, which may be dropped at next to no loss if all candidates
     * go through keep(). */
    void expect_reach() {
        keeps_ = true;
        keep_spilled_ = false;
        kept_distances_.resize(kMostKept);
        kept_ids_.resize(kMostKept);
        cutoff_ = std::numeric_limits<float>::infinity();
    }
    bool keeps() const { return keeps_; }
    /* Where n candidates are to be written, at most kMostKept; valid until the next call. */
    struct Kept {
        float *distances;
        NodeId *ids;
    };
    Kept keep(size_t n) {
        if (kept_ + n > kMostKept) {
            spill_kept();
            thin_spilled();
        }
        kept_ += n;
        return {&kept_distances_[kept_ - n], &kept_ids_[kept_ - n]};
    }

    /* From now on expands the candidates nearer than `distance`, be they fewer than the width or more, up to
     * `most`, instead of the nearest; others fall out. Called again to shorten the reach. */
    void set_reach(float distance, size_t most) {
        reach_ = distance;
        most_ = most;
        while (!entries_.empty() && entries_.back().distance >= reach_)
            drop_last();
        set_bound();
    }
    bool has_reach() const { return reach_ < std::numeric_limits<float>::infinity(); }
    /* Expands the nearest `width` again, and takes up what had fallen out. Also where no reach was set after all. */
    void drop_reach() {
        spill_kept();
        /* What is nearer is in the beam still. */
        std::erase_if(spilled_, [this](const Entry &e) { return e.distance < bound_; });
        reach_ = std::numeric_limits<float>::infinity();
        keeps_ = false;
        keep_spilled_ = true;
        next_ = 0;
        make_room(std::max(room_, entries_.size()));
    }

    /* Only candidates nearer than this enter. Infinite while there is room. */
    float bound() const { return bound_; }
    size_t width() const { return width_; }
    /* How far the candidates to be expanded reach, or the nearest part of them. Infinite while there
     * are fewer. part: above 0, at most 1. */
    float horizon(double part = 1) const {
        const auto count = static_cast<size_t>(std::ceil(part * static_cast<double>(width_)));
        return entries_.size() < width_ ? std::numeric_limits<float>::infinity()
                                        : entries_[count - 1].distance;
    }

    void push(float distance, NodeId id) {
        if (!(distance < bound_)) {
            if (keep_spilled_)
                spilled_.push_back({distance, id});
            return;
        }
        if (entries_.size() == most_)
            drop_last();
        const size_t last = entries_.size();
        entries_.resize(last + 1);
        const size_t place = sorted_place(entries_.data(), last, distance);
        Entry *at = entries_.data() + place;
        std::memmove(at + 1, at, (last - place) * sizeof(Entry));
        *at = {distance, id};
        next_ = std::min(next_, place);
        set_bound();
    }

    /* Takes the nearest candidate not yet expanded. False: there is none. */
    bool pop(Entry *out) {
        if (!to_next())
            return false;
        *out = entries_[next_];
        entries_[next_++].id = kNoNode;
        return true;
    }

    /* The candidate pop() would take next; kNoNode, infinitely far, if none. */
    Entry peek() {
        return to_next() ? entries_[next_] : Entry{std::numeric_limits<float>::infinity(), kNoNode};
    }

    /* Expands the nearest `width` candidates from now on, and takes up what had fallen out. */
    void widen(size_t width) {
        width_ = width;
        next_ = 0;
        if (width > room_)
            make_room(width);
    }

    /* Calls take(entry) with every candidate that still waits, in the beam or aside. */
    template <class Take>
    void for_each_waiting(Take take) const {
        for (const std::pmr::vector<Entry> *part : {&entries_, &spilled_})
            for (const Entry &entry : *part)
                if (entry.id != kNoNode)
                    take(entry);
    }

    /* No candidate waits. */
    bool exhausted() const {
        return spilled_.empty() && std::none_of(entries_.begin(), entries_.end(),
                                                [](const Entry &e) { return e.id != kNoNode; });
    }
    size_t bytes() const {
        return (entries_.capacity() + spilled_.capacity() + kept_ids_.capacity()) * sizeof(Entry);
    }

private:
    static constexpr size_t kMostKept = 4096;
    static constexpr size_t kCutSample = 256;

    /* Brings next_ to the candidate to be expanded next. False: there is none. */
    bool to_next() {
        while (next_ < entries_.size() && entries_[next_].id == kNoNode)
            next_++;
        return next_ < (has_reach() ? entries_.size() : std::min(entries_.size(), width_));
    }

    void drop_last() {
        if (keep_spilled_ && entries_.back().id != kNoNode)
            spilled_.push_back(entries_.back());
        entries_.pop_back();
    }

    void set_bound() { bound_ = entries_.size() < most_ ? reach_ : entries_.back().distance; }

    void spill_kept() {
        for (size_t i = 0; i < kept_; i++)
            if (kept_distances_[i] < cutoff_)
                spilled_.push_back({kept_distances_[i], kept_ids_[i]});
        kept_ = 0;
    }

    /* The farther half, or about as much, goes if there are more than will ever be taken up. */
    void thin_spilled() {
        if (spilled_.size() < std::max(kMostKept, 2 * (room_ + most_)))
            return;
        float sample[kCutSample];
        for (size_t i = 0; i < kCutSample; i++)
            sample[i] = spilled_[i * spilled_.size() / kCutSample].distance;
        std::nth_element(sample, sample + kCutSample / 2, sample + kCutSample);
        cutoff_ = sample[kCutSample / 2];
        std::erase_if(spilled_, [this](const Entry &e) { return e.distance >= cutoff_; });
    }

    struct Nearer {
        bool operator()(const Entry &a, const Entry &b) const { return a.distance < b.distance; }
    };

    void make_room(size_t room) {
        room_ = most_ = room;
        entries_.reserve(room);
        const size_t free = room > entries_.size() ? room - entries_.size() : 0;
        const size_t taken = std::min(free, spilled_.size());
        if (taken < spilled_.size())
            std::nth_element(spilled_.begin(), spilled_.begin() + static_cast<ptrdiff_t>(taken),
                             spilled_.end(), Nearer{});
        entries_.insert(entries_.end(), spilled_.begin(),
                        spilled_.begin() + static_cast<ptrdiff_t>(taken));
        spilled_.erase(spilled_.begin(), spilled_.begin() + static_cast<ptrdiff_t>(taken));
        std::sort(entries_.begin(), entries_.end(), Nearer{});
        set_bound();
    }

    std::pmr::vector<Entry> entries_; /* ascending by distance */
    std::pmr::vector<Entry> spilled_;
    size_t next_ = 0; /* no unexpanded entry before this */
    size_t width_ = 0;
    size_t room_ = 0;
    size_t most_ = 0; /* entries there may be */
    float reach_ = 0; /* infinite: there is none */
    float bound_ = 0;
    bool keep_spilled_ = false;
    bool keeps_ = false;
    size_t kept_ = 0;  /* candidates that are not among spilled_ yet */
    float cutoff_ = 0; /* of them, those farther are not taken up */
    std::pmr::vector<float> kept_distances_;
    std::pmr::vector<NodeId> kept_ids_;
};

}  // namespace hnsw::core
