// What a session made to work with an index, kept from one statement to the next: statements that
// insert or return a few rows would spend a tenth of their time on making it.  One state per use, of
// the index it was last made for.  Whatever changes an index invalidates its relation cache entry.
#pragma once

#include "pg/pg.h"

namespace hnsw::pg {

// State has a member `context`, the memory context that holds the whole of it.
template <typename State>
class KeptState {
public:
    // A user has it: others, such as a trigger's statement, make their own.
    bool busy() const { return busy_; }
    bool holds(const State *state) const { return state == state_ && state != nullptr; }

    // For a user of `index` while nobody has it: what was kept, now busy; or null, and whatever was
    // kept is dropped. Make one then and keep() it.
    State *take(Oid index) {
        if (!registered_) {
            CacheRegisterRelcacheCallback(relation_changed, PointerGetDatum(this));
            registered_ = true;
        }
        if (stale_ || index_ != index)
            drop();
        index_ = index;
        busy_ = state_ != nullptr;
        return state_;
    }
    // `state`, made after take() found none, is busy and outlives its parent context from now on.
    void keep(State *state) {
        MemoryContextSetParent(state->context, TopMemoryContext);
        state_ = state;
        busy_ = true;
    }
    void give_back() { busy_ = false; }
    void drop() {
        if (state_ != nullptr)
            MemoryContextDelete(state_->context);
        state_ = nullptr;
        index_ = InvalidOid;
        stale_ = false;
        busy_ = false;
    }

private:
    static void relation_changed(Datum self, Oid relation) {
        auto *kept = reinterpret_cast<KeptState *>(DatumGetPointer(self));
        if (relation == kept->index_ || relation == InvalidOid)
            kept->stale_ = true;
    }

    State *state_ = nullptr;
    Oid index_ = InvalidOid;
    bool stale_ = false;  // the relation cache entry was invalidated since
    bool busy_ = false;
    bool registered_ = false;
};

}  // namespace hnsw::pg
