// The out-of-line half of guard.h: classifying exceptions and the one PG_TRY.
#include "pg/guard.h"

namespace hnsw::pg::detail {

void raise(const Caught &caught) {
    if (caught.edata != nullptr)
        ReThrowError(caught.edata);
    if (caught.out_of_memory)
        ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
    ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
                    errmsg_internal("unexpected exception in hnsw: %s", caught.what)));
    pg_unreachable();
}

Caught current_exception_as_error() noexcept {
    Caught caught;
    try {
        throw;
    } catch (const PgError &e) {
        caught.edata = e.edata;
    } catch (const std::bad_alloc &) {
        caught.out_of_memory = true;
    } catch (const std::exception &e) {
        strlcpy(caught.what, e.what(), sizeof(caught.what));
    } catch (...) {
        strlcpy(caught.what, "not a std::exception", sizeof(caught.what));
    }
    return caught;
}

ErrorData *try_call(void (*fn)(void *), void *arg) {
    MemoryContext caller_context = CurrentMemoryContext;
    // volatile: written between sigsetjmp and longjmp.
    ErrorData *volatile edata = nullptr;
    PG_TRY();
    { fn(arg); }
    PG_CATCH();
    {
        MemoryContextSwitchTo(caller_context);
        edata = CopyErrorData();
        FlushErrorState();
    }
    PG_END_TRY();
    return edata;
}

}  // namespace hnsw::pg::detail
