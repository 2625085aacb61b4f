// SQL functions of the dense types, once for all of them: templates over a type row E (vec/elem.h).
// type_<name>.cpp instantiates them, one line per SQL function. Errors carry the SQLSTATEs and
// wording clients of pgvector already match on.
//
// Every template here is a Datum(FunctionCallInfo) for HNSW_FUNCTION; the SQL declarations say
// STRICT, so arguments are never NULL.
#pragma once

#include "pg/guard.h"
#include "pg/pg.h"
#include "pg/toast_cache.h"
#include "vec/dense.h"
#include "vec/text.h"

namespace hnsw::pg {

namespace detail {

// Checks that report to `context` (an ErrorSaveContext, or null to raise) and say whether all is
// well. Only input functions pass a context.
bool check_dim(int64_t dim, const char *type, uint32_t max, Node *context = nullptr);
bool check_typmod(int32 typmod, uint32_t dim, Node *context = nullptr);
bool check_text(const vec::TextResult &result, const char *literal, const char *type, uint32_t max,
                Node *context);

// Raises unless `value` is finite.
void check_element(float value, const char *type);

void check_same_dim(uint32_t a, uint32_t b, const char *type);
void check_range(vec::Range range);
[[noreturn]] void raise_malformed(const char *type);

// The float8[] {count, sum of element 1, …} that avg() carries from row to row.
struct AvgState {
    ArrayType *array;
    float8 *values;  // values[0] is the count
    uint32_t dim;    // 0 until the first row
};
AvgState get_avg_state(FunctionCallInfo fcinfo, int arg, const char *function);
AvgState new_avg_state(uint32_t dim);

Datum typmod_in(FunctionCallInfo fcinfo, const char *type, uint32_t max);

// The values of an int4[], float4[], float8[] or numeric[] argument as floats, palloc'd.
std::span<float> array_argument(FunctionCallInfo fcinfo, int arg);

Datum make_float4_array(std::span<const float> values);

// -0 and 0 are equal, so they hash alike.
Datum hash_floats(std::span<float> values, bool extended, uint64 seed);

inline void send_element(StringInfo buf, float x) { pq_sendfloat4(buf, x); }
// Reads elements, each in network byte order.
void recv_elements(StringInfo buf, std::span<float> out);

}  // namespace detail

// The vector in a detoasted datum; none if it is not one.
template <typename E>
std::optional<vec::View<E>> view_of(const varlena *datum) {
    return vec::view_payload<E>(
        {reinterpret_cast<const std::byte *>(VARDATA(datum)), VARSIZE(datum) - VARHDRSZ});
}

// An argument of type E, detoasted and proven to be a vector. A copy that detoasting made here is
// freed at the end of the scope: comparators run thousands of times in one context. One fetched from a
// TOAST table belongs to toast_cache.h.
template <typename E>
class VectorArg {
public:
    static constexpr bool kAbandonable = true;

    VectorArg(FunctionCallInfo fcinfo, int arg)
        : original_(reinterpret_cast<varlena *>(DatumGetPointer(fcinfo->args[arg].value))),
          cached_(VARATT_IS_EXTERNAL_ONDISK(original_)),
          datum_(cached_ ? fetch_toasted(original_) : pg_detoast_datum(original_)) {
        auto view = view_of<E>(datum_);
        if (!view)
            detail::raise_malformed(E::kName);
        view_ = *view;
    }
    ~VectorArg() {
        if (datum_ != original_ && !cached_)
            pfree(datum_);
    }
    VectorArg(const VectorArg &) = delete;
    VectorArg &operator=(const VectorArg &) = delete;

    vec::View<E> view() const { return view_; }
    uint32_t dim() const { return view_.dim; }

private:
    varlena *original_;
    bool cached_;
    varlena *datum_;
    vec::View<E> view_;
};

// Both arguments, proven to have the same dimensions.
template <typename E>
struct VectorPair {
    explicit VectorPair(FunctionCallInfo fcinfo) : a(fcinfo, 0), b(fcinfo, 1) {
        detail::check_same_dim(a.dim(), b.dim(), E::kName);
    }
    VectorArg<E> a, b;
};

// A vector being made, in the current context. The elements are zero.
template <typename E>
struct NewVector {
    explicit NewVector(uint32_t dim) {
        size_t size = VARHDRSZ + vec::payload_size<E>(dim);
        auto *datum = static_cast<varlena *>(palloc0(size));
        SET_VARSIZE(datum, size);
        auto header = static_cast<int16_t>(dim);
        memcpy(VARDATA(datum), &header, sizeof(header));
        data = reinterpret_cast<typename E::Element *>(VARDATA(datum) + vec::kDenseHeader);
        result = PointerGetDatum(datum);
    }
    typename E::Element *data;
    Datum result;
};

// A new vector of `values`, which are checked to be finite and in E's range.
template <typename E>
Datum vector_of_floats(std::span<const float> values) {
    NewVector<E> v(static_cast<uint32_t>(values.size()));
    for (size_t i = 0; i < values.size(); i++) {
        v.data[i] = E::narrow(values[i]);
        detail::check_element(E::widen(v.data[i]), E::kName);
    }
    return v.result;
}

// ---- input and output ----

template <typename E>
Datum type_in(FunctionCallInfo fcinfo) {
    const char *literal = PG_GETARG_CSTRING(0);
    int32 typmod = PG_GETARG_INT32(2);
    std::string_view text(literal);
    // Every element but the first follows a comma.
    size_t most = std::min<size_t>(1 + std::count(text.begin(), text.end(), ','), E::kMaxDims);
    auto *values = static_cast<float *>(palloc(most * sizeof(float)));
    vec::TextResult r = vec::parse_dense(text, {values, most});
    if (!detail::check_text(r, literal, E::kName, E::kMaxDims, fcinfo->context) ||
        !detail::check_typmod(typmod, r.dim, fcinfo->context))
        return Datum{0};
    Datum result = vector_of_floats<E>({values, r.dim});
    pfree(values);
    return result;
}

// Shortest decimals that read back as the same value, as float4's output.
template <typename E>
Datum type_out(FunctionCallInfo fcinfo) {
    VectorArg<E> a(fcinfo, 0);
    auto *text = static_cast<char *>(palloc(a.dim() * FLOAT_SHORTEST_DECIMAL_LEN + 3));
    char *p = text;
    *p++ = '[';
    for (uint32_t i = 0; i < a.dim(); i++) {
        if (i > 0)
            *p++ = ',';
        p += float_to_shortest_decimal_bufn(E::widen(a.view()[i]), p);
    }
    *p++ = ']';
    *p = '\0';
    PG_RETURN_CSTRING(text);
}

template <typename E>
Datum type_recv(FunctionCallInfo fcinfo) {
    auto *buf = reinterpret_cast<StringInfo>(PG_GETARG_POINTER(0));
    int32 typmod = PG_GETARG_INT32(2);
    auto dim = static_cast<int16_t>(pq_getmsgint(buf, sizeof(int16_t)));
    auto unused = static_cast<int16_t>(pq_getmsgint(buf, sizeof(int16_t)));
    detail::check_dim(dim, E::kName, E::kMaxDims);
    detail::check_typmod(typmod, static_cast<uint32_t>(dim));
    if (unused != 0)
        ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                        errmsg("expected unused to be 0, not %d", unused)));
    NewVector<E> v(static_cast<uint32_t>(dim));
    const std::span<typename E::Element> elements(v.data, static_cast<size_t>(dim));
    detail::recv_elements(buf, elements);
    // One pass for all: the sum is finite if every element is.
    if (!std::isfinite(E::norm_squared(elements.data(), static_cast<uint32_t>(dim))))
        for (auto element : elements)
            detail::check_element(E::widen(element), E::kName);
    return v.result;
}

template <typename E>
Datum type_send(FunctionCallInfo fcinfo) {
    VectorArg<E> a(fcinfo, 0);
    StringInfoData buf;
    pq_begintypsend(&buf);
    pq_sendint16(&buf, static_cast<uint16>(a.dim()));
    pq_sendint16(&buf, 0);
    for (uint32_t i = 0; i < a.dim(); i++)
        detail::send_element(&buf, a.view()[i]);
    PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

template <typename E>
Datum type_typmod_in(FunctionCallInfo fcinfo) {
    return detail::typmod_in(fcinfo, E::kName, E::kMaxDims);
}

// ---- casts ----

// The length coercion cast: passes the value on if it has the declared dimensions.
template <typename E>
Datum type_coerce(FunctionCallInfo fcinfo) {
    VectorArg<E> a(fcinfo, 0);
    detail::check_typmod(PG_GETARG_INT32(1), a.dim());
    return PG_GETARG_DATUM(0);
}

template <typename E>
Datum type_from_array(FunctionCallInfo fcinfo) {
    std::span<float> values = detail::array_argument(fcinfo, 0);
    detail::check_dim(static_cast<int64_t>(values.size()), E::kName, E::kMaxDims);
    detail::check_typmod(PG_GETARG_INT32(1), static_cast<uint32_t>(values.size()));
    return vector_of_floats<E>(values);
}

template <typename E>
Datum type_to_float4_array(FunctionCallInfo fcinfo) {
    VectorArg<E> a(fcinfo, 0);
    auto *values = static_cast<float *>(palloc(a.dim() * sizeof(float)));
    for (uint32_t i = 0; i < a.dim(); i++)
        values[i] = E::widen(a.view()[i]);
    return detail::make_float4_array({values, a.dim()});
}

// ---- functions of one and two vectors ----

template <typename E, double (*Fn)(vec::View<E>, vec::View<E>)>
Datum distance(FunctionCallInfo fcinfo) {
    VectorPair<E> p(fcinfo);
    return Float8GetDatum(Fn(p.a.view(), p.b.view()));
}

template <typename E>
Datum negative_inner_product(FunctionCallInfo fcinfo) {
    VectorPair<E> p(fcinfo);
    return Float8GetDatum(-vec::inner_product(p.a.view(), p.b.view()));
}

template <typename E>
Datum dims(FunctionCallInfo fcinfo) {
    return Int32GetDatum(static_cast<int32>(VectorArg<E>(fcinfo, 0).dim()));
}

template <typename E>
Datum norm(FunctionCallInfo fcinfo) {
    VectorArg<E> a(fcinfo, 0);
    return Float8GetDatum(vec::norm(a.view()));
}

template <typename E>
Datum normalize(FunctionCallInfo fcinfo) {
    VectorArg<E> a(fcinfo, 0);
    NewVector<E> v(a.dim());
    detail::check_range(vec::normalize(a.view(), v.data));
    return v.result;
}

template <typename E, vec::Range (*Fn)(vec::View<E>, vec::View<E>, typename E::Element *)>
Datum arithmetic(FunctionCallInfo fcinfo) {
    VectorPair<E> p(fcinfo);
    NewVector<E> v(p.a.dim());
    detail::check_range(Fn(p.a.view(), p.b.view(), v.data));
    return v.result;
}

template <typename E>
Datum concatenate(FunctionCallInfo fcinfo) {
    VectorArg<E> a(fcinfo, 0), b(fcinfo, 1);
    detail::check_dim(int64_t{a.dim()} + b.dim(), E::kName, E::kMaxDims);
    NewVector<E> v(a.dim() + b.dim());
    std::copy_n(a.view().data, a.dim(), v.data);
    std::copy_n(b.view().data, b.dim(), v.data + a.dim());
    return v.result;
}

template <typename E>
Datum binary_quantize(FunctionCallInfo fcinfo) {
    VectorArg<E> a(fcinfo, 0);
    size_t size = VARBITTOTALLEN(a.dim());
    auto *bits = static_cast<VarBit *>(palloc0(size));
    SET_VARSIZE(bits, size);
    VARBITLEN(bits) = static_cast<int32>(a.dim());
    vec::binary_quantize(a.view(), VARBITS(bits));
    PG_RETURN_VARBIT_P(bits);
}

// Elements start..start + count - 1, from 1; positions outside the vector are left out, as
// substring() does. Nothing left is an error: a vector has a dimension.
template <typename E>
Datum subvector(FunctionCallInfo fcinfo) {
    VectorArg<E> a(fcinfo, 0);
    int64 start = PG_GETARG_INT32(1), count = PG_GETARG_INT32(2);
    int64 end = std::min<int64>(start + count, int64{a.dim()} + 1);
    start = std::max<int64>(start, 1);
    detail::check_dim(count < 1 ? 0 : end - start, E::kName, E::kMaxDims);
    NewVector<E> v(static_cast<uint32_t>(end - start));
    std::copy_n(a.view().data + start - 1, end - start, v.data);
    return v.result;
}

// ---- comparison ----

template <typename E>
int compare_arguments(FunctionCallInfo fcinfo) {
    VectorArg<E> a(fcinfo, 0), b(fcinfo, 1);
    return vec::compare(a.view(), b.view());
}

template <typename E>
Datum cmp(FunctionCallInfo fcinfo) {
    return Int32GetDatum(compare_arguments<E>(fcinfo));
}

// Op compares the three-way result with 0: std::less<> for <, and so on.
template <typename E, typename Op>
Datum compare_is(FunctionCallInfo fcinfo) {
    return BoolGetDatum(Op{}(compare_arguments<E>(fcinfo), 0));
}

template <typename E, bool Extended>
Datum hash(FunctionCallInfo fcinfo) {
    VectorArg<E> a(fcinfo, 0);
    auto *values = static_cast<float *>(palloc(a.dim() * sizeof(float)));
    for (uint32_t i = 0; i < a.dim(); i++)
        values[i] = E::widen(a.view()[i]);
    uint64 seed = Extended ? static_cast<uint64>(PG_GETARG_INT64(1)) : 0;
    Datum result = detail::hash_floats({values, a.dim()}, Extended, seed);
    pfree(values);
    return result;
}

// ---- aggregates ----

// Adds a vector to the state, in place where the state is the aggregate's own.
template <typename E>
Datum avg_accumulate(FunctionCallInfo fcinfo) {
    detail::AvgState state = detail::get_avg_state(fcinfo, 0, "accumulate");
    VectorArg<E> a(fcinfo, 1);
    detail::AvgState next = state;
    if (state.dim == 0) {
        next = detail::new_avg_state(a.dim());
        next.values[0] = state.values[0];
    } else {
        detail::check_typmod(static_cast<int32>(state.dim), a.dim());
        if (!AggCheckCallContext(fcinfo, nullptr)) {
            next = detail::new_avg_state(state.dim);
            std::copy_n(state.values, state.dim + 1, next.values);
        }
    }
    next.values[0] += 1;
    for (uint32_t i = 0; i < a.dim(); i++) {
        next.values[i + 1] += E::widen(a.view()[i]);
        if (std::isinf(next.values[i + 1]))
            float_overflow_error();
    }
    PG_RETURN_ARRAYTYPE_P(next.array);
}

template <typename E>
Datum avg_combine(FunctionCallInfo fcinfo) {
    detail::AvgState a = detail::get_avg_state(fcinfo, 0, "combine");
    detail::AvgState b = detail::get_avg_state(fcinfo, 1, "combine");
    if (a.dim == 0)
        std::swap(a, b);
    detail::AvgState sum = detail::new_avg_state(a.dim);
    if (a.dim != 0)
        detail::check_dim(a.dim, E::kName, E::kMaxDims);
    if (b.dim != 0)
        detail::check_typmod(static_cast<int32>(a.dim), b.dim);
    std::copy_n(a.values, a.dim + 1, sum.values);
    for (uint32_t i = 0; i <= b.dim; i++) {
        sum.values[i] += b.values[i];
        if (std::isinf(sum.values[i]))
            float_overflow_error();
    }
    PG_RETURN_ARRAYTYPE_P(sum.array);
}

// NULL for no rows.
template <typename E>
Datum avg_final(FunctionCallInfo fcinfo) {
    detail::AvgState state = detail::get_avg_state(fcinfo, 0, "average");
    if (state.values[0] == 0)
        PG_RETURN_NULL();
    detail::check_dim(state.dim, E::kName, E::kMaxDims);
    NewVector<E> v(state.dim);
    for (uint32_t i = 0; i < state.dim; i++) {
        v.data[i] = E::narrow(static_cast<float>(state.values[i + 1] / state.values[0]));
        detail::check_element(E::widen(v.data[i]), E::kName);
    }
    return v.result;
}

}  // namespace hnsw::pg
