// C++ containers over PostgreSQL memory contexts. A container with an McxtResource is abandonable
// (guard.h): resetting the context frees what a skipped destructor did not.
#pragma once

#include "pg/guard.h"

namespace hnsw::pg {

// Allocates from one memory context, beyond 1 GB if asked. Running out of memory is the server's
// ereport(ERROR), not std::bad_alloc, so code that allocates obeys the rules of guard.h.
class McxtResource final : public std::pmr::memory_resource {
public:
    static constexpr bool kAbandonable = true;

    // `context` must outlive the resource and everything allocated from it.
    explicit McxtResource(MemoryContext context) : context_(context) {}

    MemoryContext context() const { return context_; }

    // Bytes the context and its children hold now, for comparing with work_mem and the like.
    size_t allocated() const { return MemoryContextMemAllocated(context_, true); }

private:
    // Larger alignments are padded by hand: the server has no such call in version 15. The pointer
    // to free is kept just before the aligned one.
    void *do_allocate(size_t bytes, size_t alignment) override {
        if (alignment <= MAXIMUM_ALIGNOF)
            return MemoryContextAllocHuge(context_, bytes);
        auto *base = static_cast<char *>(
            MemoryContextAllocHuge(context_, bytes + alignment + sizeof(void *)));
        auto *aligned = reinterpret_cast<char *>(TYPEALIGN(alignment, base + sizeof(void *)));
        memcpy(aligned - sizeof(void *), &base, sizeof(void *));
        return aligned;
    }

    void do_deallocate(void *ptr, size_t, size_t alignment) override {
        if (alignment > MAXIMUM_ALIGNOF)
            memcpy(&ptr, static_cast<char *>(ptr) - sizeof(void *), sizeof(void *));
        pfree(ptr);
    }

    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override {
        return this == &other;
    }

    MemoryContext context_;
};

// Constructs a T in `context` whose destructor never runs: for abandonable objects.
template <typename T, typename... Args>
T *create_in_context(MemoryContext context, Args &&...args) {
    static_assert(alignof(T) <= MAXIMUM_ALIGNOF);
    return ::new (MemoryContextAlloc(context, sizeof(T))) T(std::forward<Args>(args)...);
}

// Constructs a T in `context`; the context's reset or deletion (abort included) runs ~T(). For
// objects that are not abandonable, or must outlive a call.
template <typename T, typename... Args>
T *make_in_context(MemoryContext context, Args &&...args) {
    static_assert(alignof(T) <= MAXIMUM_ALIGNOF);
    struct Holder {
        MemoryContextCallback callback;
        alignas(T) std::byte storage[sizeof(T)];
    };
    auto *holder = static_cast<Holder *>(MemoryContextAllocZero(context, sizeof(Holder)));
    T *object = ::new (holder->storage) T(std::forward<Args>(args)...);
    if constexpr (!std::is_trivially_destructible_v<T>) {
        holder->callback.func = [](void *arg) { static_cast<T *>(arg)->~T(); };
        holder->callback.arg = object;
        MemoryContextRegisterResetCallback(context, &holder->callback);
    }
    return object;
}

}  // namespace hnsw::pg
