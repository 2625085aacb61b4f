// Where C++ and PostgreSQL's ereport/longjmp meet; the only place with catch and PG_TRY.
//
// Rules (src/pg):
//  * Every function the server calls is an extern "C" line over entry<fn>(): no C++ exception
//    leaves it, it becomes an ereport instead.
//  * A frame that calls the server holds only *abandonable* objects: those whose destructor may be
//    skipped by a longjmp because transaction abort frees what they hold anyway (is_abandonable).
//  * When some other object must live across a server call, the call goes through pg_call(), which
//    turns the server's error into a PgError; entry() rethrows it with SQLSTATE, detail and hint.
#pragma once

#include "pg/pg.h"

namespace hnsw::pg {

// A server error travelling through C++ frames as an exception. `edata` lives in the memory context
// that was current when pg_call() was entered.
struct PgError {
    ErrorData *edata;
};

// True if skipping T's destructor is harmless: trivially destructible types, and those that say so
// with `static constexpr bool kAbandonable = true`.
template <typename T>
inline constexpr bool is_abandonable = std::is_trivially_destructible_v<T> || requires {
    requires T::kAbandonable;
};

namespace detail {

// What the handlers of entry() keep of an exception until the catch block has been left.
struct Caught {
    ErrorData *edata = nullptr;
    bool out_of_memory = false;
    char what[256] = "";
};

// Raises `caught` as a server error. Never called inside a catch block: the longjmp would leak the
// exception object.
[[noreturn]] void raise(const Caught &caught);

// To be called inside a catch block: says what is being handled.
Caught current_exception_as_error() noexcept;

// Runs fn(arg) under PG_TRY. Returns null, or a copy of the server's error made in the context
// that was current at the call; in that case the error has been flushed from the server's stack.
ErrorData *try_call(void (*fn)(void *), void *arg);

}  // namespace detail

// Calls Fn and turns whatever it throws into ereport(ERROR). The caller is a C function of the
// server; Fn's frame obeys the rules above.
template <auto Fn, typename... Args>
auto entry(Args... args) {
    detail::Caught caught;
    try {
        return Fn(args...);
    } catch (...) {
        caught = detail::current_exception_as_error();
    }
    detail::raise(caught);
}

// Calls `call`, a noexcept callable that may ereport, from a frame with objects that are not
// abandonable. Returns its result; throws PgError if the server raised an error. Cheap (about
// 10 ns), but not free: not for inner loops.
template <typename F>
auto pg_call(F &&call) {
    using Result = std::invoke_result_t<F &>;
    static_assert(std::is_nothrow_invocable_v<F &>, "a C++ exception must not cross PG_TRY");
    static_assert(is_abandonable<std::remove_reference_t<F>>, "capture by reference");
    if constexpr (std::is_void_v<Result>) {
        auto thunk = [](void *f) { (*static_cast<std::remove_reference_t<F> *>(f))(); };
        if (ErrorData *edata = detail::try_call(thunk, &call))
            throw PgError{edata};
    } else {
        static_assert(std::is_trivially_copyable_v<Result>, "a longjmp would skip its destructor");
        struct Frame {
            std::remove_reference_t<F> *call;
            Result result;
        } frame{&call, {}};
        auto thunk = [](void *f) {
            auto *fr = static_cast<Frame *>(f);
            fr->result = (*fr->call)();
        };
        if (ErrorData *edata = detail::try_call(thunk, &frame))
            throw PgError{edata};
        return frame.result;
    }
}

// Calls `call`, a noexcept callable without a result that may ereport. Returns null, or the error,
// for callers with another way when the first fails; what the server's error left behind must be
// harmless until the transaction ends.
template <typename F>
ErrorData *pg_try(F &&call) {
    static_assert(std::is_nothrow_invocable_r_v<void, F &>);
    static_assert(is_abandonable<std::remove_reference_t<F>>, "capture by reference");
    return detail::try_call([](void *f) { (*static_cast<std::remove_reference_t<F> *>(f))(); },
                            &call);
}

}  // namespace hnsw::pg

// Defines the SQL-callable C symbol hnsw_<sqlname>: HNSW_FUNCTION(sqlname, fn), where fn is a
// Datum(FunctionCallInfo). Variadic because a template's arguments have commas.
#define HNSW_FUNCTION(sqlname, ...)                                                           \
    extern "C" {                                                                              \
    PGDLLEXPORT Datum hnsw_##sqlname(PG_FUNCTION_ARGS);                                       \
    PG_FUNCTION_INFO_V1(hnsw_##sqlname);                                                      \
    Datum hnsw_##sqlname(PG_FUNCTION_ARGS) { return ::hnsw::pg::entry<__VA_ARGS__>(fcinfo); } \
    }                                                                                         \
    static_assert(true)
