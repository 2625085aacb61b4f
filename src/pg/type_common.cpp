// The parts of the dense types' SQL functions that do not depend on the element.
#include "pg/type_common.h"

namespace hnsw::pg::detail {
namespace {

// Longest part of a literal worth repeating in a message, in bytes.
constexpr int kQuotedLength = 200;

// `literal` for quoting in an error: cut, at a character's end, where it is long.
const char *quotable(const char *literal) {
    size_t length = strlen(literal);
    if (length <= kQuotedLength)
        return literal;
    int cut =
        pg_mbcliplen(literal, static_cast<int>(std::min<size_t>(length, INT_MAX)), kQuotedLength);
    return psprintf("%.*s...", cut, literal);
}

}  // namespace

void recv_elements(StringInfo buf, std::span<float> out) {
    // All at once: a call for each of 1,536 elements is a tenth of a short query.
    const char *from = pq_getmsgbytes(buf, static_cast<int>(out.size_bytes()));
    if constexpr (std::endian::native == std::endian::little)
        simd::kernels().reversed_bytes(from, out.data(), static_cast<uint32_t>(out.size()));
    else
        memcpy(out.data(), from, out.size_bytes());
}

bool check_dim(int64_t dim, const char *type, uint32_t max, Node *context) {
    if (dim < 1) {
        errsave(context, (errcode(ERRCODE_DATA_EXCEPTION),
                          errmsg("%s must have at least 1 dimension", type)));
        return false;
    }
    if (dim > max) {
        errsave(context, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                          errmsg("%s cannot have more than %u dimensions", type, max)));
        return false;
    }
    return true;
}

bool check_typmod(int32 typmod, uint32_t dim, Node *context) {
    if (typmod == -1 || static_cast<uint32_t>(typmod) == dim)
        return true;
    errsave(context, (errcode(ERRCODE_DATA_EXCEPTION),
                      errmsg("expected %d dimensions, not %u", typmod, dim)));
    return false;
}

bool check_text(const vec::TextResult &result, const char *literal, const char *type, uint32_t max,
                Node *context) {
    const char *detail = nullptr;
    switch (result.error) {
        case vec::TextError::kNone:
            return true;
        case vec::TextError::kEmpty:
            return check_dim(0, type, max, context);
        case vec::TextError::kTooMany:
            return check_dim(int64_t{max} + 1, type, max, context);
        case vec::TextError::kNotANumber:
            errsave(context,
                    (errcode(ERRCODE_DATA_EXCEPTION), errmsg("NaN not allowed in %s", type)));
            return false;
        case vec::TextError::kInfinite:
            errsave(context, (errcode(ERRCODE_DATA_EXCEPTION),
                              errmsg("infinite value not allowed in %s", type)));
            return false;
        case vec::TextError::kOutOfRange:
            errsave(context,
                    (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
                     errmsg("\"%s\" is out of range for type %s",
                            quotable(pnstrdup(literal + result.position, result.length)), type)));
            return false;
        case vec::TextError::kNoOpening:
            detail = "Vector contents must start with \"[\".";
            break;
        case vec::TextError::kJunk:
            detail = "Junk after closing right brace.";
            break;
        case vec::TextError::kSyntax:
            detail = literal[result.position] == '\0' ? "Unexpected end of input." : nullptr;
            break;
    }
    if (detail == nullptr)
        detail = psprintf("Unexpected input at byte %zu.", result.position + 1);
    errsave(context, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
                      errmsg("invalid input syntax for type %s: \"%s\"", type, quotable(literal)),
                      errdetail_internal("%s", detail)));
    return false;
}

void check_element(float value, const char *type) {
    if (std::isnan(value))
        ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("NaN not allowed in %s", type)));
    if (std::isinf(value))
        ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                        errmsg("infinite value not allowed in %s", type)));
}

void check_same_dim(uint32_t a, uint32_t b, const char *type) {
    if (a != b)
        ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
                        errmsg("different %s dimensions %u and %u", type, a, b)));
}

void check_range(vec::Range range) {
    if (range == vec::Range::kOverflow)
        float_overflow_error();
    if (range == vec::Range::kUnderflow)
        float_underflow_error();
}

void raise_malformed(const char *type) {
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("malformed %s value", type),
                    errdetail("The stored length does not match the number of dimensions.")));
    pg_unreachable();
}

AvgState get_avg_state(FunctionCallInfo fcinfo, int arg, const char *function) {
    ArrayType *array = PG_GETARG_ARRAYTYPE_P(arg);
    bool valid = ARR_NDIM(array) == 1 && ARR_DIMS(array)[0] >= 1 && !ARR_HASNULL(array) &&
                 ARR_ELEMTYPE(array) == FLOAT8OID;
    if (!valid)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("expected state array to %s vectors", function),
                        errdetail("The state is a one-dimensional float8 array of the count and "
                                  "the sums, without NULL.")));
    return {array, reinterpret_cast<float8 *>(ARR_DATA_PTR(array)),
            static_cast<uint32_t>(ARR_DIMS(array)[0] - 1)};
}

AvgState new_avg_state(uint32_t dim) {
    size_t size = ARR_OVERHEAD_NONULLS(1) + (size_t{dim} + 1) * sizeof(float8);
    auto *array = static_cast<ArrayType *>(palloc0(size));
    SET_VARSIZE(array, size);
    array->ndim = 1;
    array->dataoffset = 0;
    array->elemtype = FLOAT8OID;
    ARR_DIMS(array)[0] = static_cast<int>(dim + 1);
    ARR_LBOUND(array)[0] = 1;
    return {array, reinterpret_cast<float8 *>(ARR_DATA_PTR(array)), dim};
}

Datum typmod_in(FunctionCallInfo fcinfo, const char *type, uint32_t max) {
    int n;
    int32 *typmods = ArrayGetIntegerTypmods(PG_GETARG_ARRAYTYPE_P(0), &n);
    if (n != 1)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid type modifier"),
                        errhint("Write the number of dimensions: %s(3).", type)));
    if (*typmods < 1)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("dimensions for type %s must be at least 1", type)));
    if (static_cast<uint32_t>(*typmods) > max)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("dimensions for type %s cannot exceed %u", type, max)));
    PG_RETURN_INT32(*typmods);
}

std::span<float> array_argument(FunctionCallInfo fcinfo, int arg) {
    ArrayType *array = PG_GETARG_ARRAYTYPE_P(arg);
    if (ARR_NDIM(array) > 1)
        ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("array must be 1-D")));
    if (array_contains_nulls(array))
        ereport(ERROR,
                (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("array must not contain nulls")));

    Oid type = ARR_ELEMTYPE(array);
    int16 length;
    bool by_value;
    char align;
    get_typlenbyvalalign(type, &length, &by_value, &align);
    Datum *elements;
    int n;
    deconstruct_array(array, type, length, by_value, align, &elements, nullptr, &n);

    auto *values = static_cast<float *>(palloc(std::max(n, 1) * sizeof(float)));
    for (int i = 0; i < n; i++) {
        switch (type) {
            case INT4OID:
                values[i] = static_cast<float>(DatumGetInt32(elements[i]));
                break;
            case FLOAT4OID:
                values[i] = DatumGetFloat4(elements[i]);
                break;
            case FLOAT8OID:
                values[i] = static_cast<float>(DatumGetFloat8(elements[i]));
                break;
            case NUMERICOID:
                values[i] = DatumGetFloat4(DirectFunctionCall1(numeric_float4, elements[i]));
                break;
            default:
                ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("unsupported array type"),
                                errdetail("Array elements are of type %s.", format_type_be(type))));
        }
    }
    pfree(elements);
    return {values, static_cast<size_t>(n)};
}

Datum make_float4_array(std::span<const float> values) {
    auto *datums = static_cast<Datum *>(palloc(values.size() * sizeof(Datum)));
    std::transform(values.begin(), values.end(), datums, Float4GetDatum);
    ArrayType *array = construct_array(datums, static_cast<int>(values.size()), FLOAT4OID,
                                       sizeof(float4), true, TYPALIGN_INT);
    pfree(datums);
    PG_RETURN_ARRAYTYPE_P(array);
}

Datum hash_floats(std::span<float> values, bool extended, uint64 seed) {
    for (float &x : values)
        x += 0.0f;  // -0 + 0 = 0
    auto *bytes = reinterpret_cast<unsigned char *>(values.data());
    auto length = static_cast<int>(values.size_bytes());
    return extended ? hash_any_extended(bytes, length, seed) : hash_any(bytes, length);
}

}  // namespace hnsw::pg::detail
