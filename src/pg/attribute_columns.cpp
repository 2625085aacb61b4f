// The table of attribute types, and keys of values. Conditions are made in attribute_conditions.cpp.
#include "pg/attribute_columns.h"

#include "pg/attribute_kinds.h"
#include "pg/opclass.h"

namespace hnsw::pg {

namespace {

constexpr uint64_t kSignBit = uint64_t{1} << 63;

uint64_t integer_key(int64 value) { return static_cast<uint64_t>(value) ^ kSignBit; }

// As the server orders floats: -0 equals 0, NaN equals itself and is the largest.
uint64_t float_key(double value) {
    if (std::isnan(value))
        return ~uint64_t{0};
    auto bits = std::bit_cast<uint64_t>(value == 0 ? 0.0 : value);
    return (bits & kSignBit) != 0 ? ~bits : bits | kSignBit;
}

uint64_t bool_value_key(Datum value, const AttributeColumn &) {
    return integer_key(DatumGetBool(value) ? 1 : 0);
}
uint64_t int2_value_key(Datum value, const AttributeColumn &) {
    return integer_key(DatumGetInt16(value));
}
uint64_t int4_value_key(Datum value, const AttributeColumn &) {
    return integer_key(DatumGetInt32(value));
}
uint64_t int8_value_key(Datum value, const AttributeColumn &) {
    return integer_key(DatumGetInt64(value));
}
uint64_t float4_value_key(Datum value, const AttributeColumn &) {
    return float_key(DatumGetFloat4(value));
}
uint64_t float8_value_key(Datum value, const AttributeColumn &) {
    return float_key(DatumGetFloat8(value));
}
uint64_t numeric_value_key(Datum value, const AttributeColumn &) {
    return float_key(DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, value)));
}
uint64_t date_value_key(Datum value, const AttributeColumn &) {
    bool exact;
    return timestamp_key(timestamp_of_date(DatumGetDateADT(value), &exact));
}
uint64_t timestamp_value_key(Datum value, const AttributeColumn &) {
    return timestamp_key(DatumGetTimestamp(value));
}
uint64_t uuid_value_key(Datum value, const AttributeColumn &) {
    uint64_t key;
    memcpy(&key, DatumGetUUIDP(value)->data, sizeof(key));
    return pg_ntoh64(key);
}
uint64_t enum_value_key(Datum value, const AttributeColumn &) { return DatumGetObjectId(value); }

uint64_t text_value_key(Datum value, const AttributeColumn &column) {
    return DatumGetUInt64(
        DirectFunctionCall2Coll(hashtextextended, column.collation, value, Int64GetDatum(0)));
}
uint64_t bpchar_value_key(Datum value, const AttributeColumn &column) {
    return DatumGetUInt64(
        DirectFunctionCall2Coll(hashbpcharextended, column.collation, value, Int64GetDatum(0)));
}

// The signature of all elements; of NULLs and of no elements it is 0.
uint64_t array_value_key(Datum value, const AttributeColumn &column) {
    uint64_t key = 0;
    for_each_element(value, [&](Datum element, bool isnull) {
        if (!isnull)
            key |= element_bits(column, element);
    });
    return key;
}

const AttributeKind kKinds[] = {
    {BOOLOID, KeySpace::kInteger, bool_value_key},
    {INT2OID, KeySpace::kInteger, int2_value_key},
    {INT4OID, KeySpace::kInteger, int4_value_key},
    {INT8OID, KeySpace::kInteger, int8_value_key},
    {FLOAT4OID, KeySpace::kFloat, float4_value_key},
    {FLOAT8OID, KeySpace::kFloat, float8_value_key},
    {NUMERICOID, KeySpace::kNumeric, numeric_value_key},
    {DATEOID, KeySpace::kTime, date_value_key},
    {TIMESTAMPOID, KeySpace::kTime, timestamp_value_key},
    {TIMESTAMPTZOID, KeySpace::kTime, timestamp_value_key},
    {UUIDOID, KeySpace::kUuid, uuid_value_key},
    {ANYENUMOID, KeySpace::kEnum, enum_value_key},
    {TEXTOID, KeySpace::kHash, text_value_key},
    {BPCHAROID, KeySpace::kHash, bpchar_value_key},
    {ANYARRAYOID, KeySpace::kSignature, array_value_key},
};

[[noreturn]] void refuse_columns(Relation index, const char *what, const char *hint) {
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
             errmsg("index \"%s\" %s", RelationGetRelationName(index), what), errhint("%s", hint)));
    pg_unreachable();
}

// What hashes the elements of an array column.
const TypeCacheEntry *element_type(Relation index, int column) {
    Oid type = getBaseType(TupleDescAttr(RelationGetDescr(index), column)->atttypid);
    Oid element = get_element_type(type);
    const TypeCacheEntry *entry =
        OidIsValid(element) ? lookup_type_cache(element, TYPECACHE_HASH_EXTENDED_PROC_FINFO)
                            : nullptr;
    if (entry == nullptr || !OidIsValid(entry->hash_extended_proc_finfo.fn_oid))
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
                        errmsg("could not identify an extended hash function for the elements of "
                               "type %s",
                               format_type_be(type)),
                        errhint("An array column of an hnsw index needs elements of a type with "
                                "hash support.")));
    return entry;
}

}  // namespace

const AttributeKind *find_attribute_kind(Oid type) {
    for (const AttributeKind &kind : kKinds)
        if (kind.type == type)
            return &kind;
    return nullptr;
}

bool attribute_kind_has_strategy(const AttributeKind &kind, int strategy) {
    switch (kind.space) {
        case KeySpace::kHash:
            return strategy == kEqualStrategy;
        case KeySpace::kSignature:
            return strategy == kOverlapsStrategy || strategy == kContainsStrategy;
        default:
            return strategy >= kLessStrategy && strategy <= kGreaterStrategy;
    }
}

uint64_t timestamp_key(Timestamp value) { return integer_key(value); }

Timestamp timestamp_of_date(DateADT date, bool *exact) {
    int overflow;
    Timestamp at = date2timestamp_opt_overflow(date, &overflow);
    *exact = overflow == 0;
    // Later than every timestamp but infinity.
    return overflow > 0 ? DT_NOEND - 1 : at;
}

uint64_t element_bits(const AttributeColumn &column, Datum element) {
    // The type cache's entry, not a copy, as the server's own array functions do.
    auto *hash_proc = const_cast<FmgrInfo *>(&column.element->hash_extended_proc_finfo);
    uint64_t hash =
        DatumGetUInt64(FunctionCall2Coll(hash_proc, column.collation, element, Int64GetDatum(0)));
    // Three bits of 64: about 1 % of rows with five elements match by chance.
    return uint64_t{1} << (hash & 63) | uint64_t{1} << (hash >> 6 & 63) |
           uint64_t{1} << (hash >> 12 & 63);
}

AttributeColumns::AttributeColumns(Relation index) {
    const int columns = IndexRelationGetNumberOfKeyAttributes(index);
    if (columns - 1 > static_cast<int>(core::kMaxAttributes))
        refuse_columns(index, psprintf("has %d attribute columns", columns - 1),
                       psprintf("An hnsw index has a vector column and up to %u others.",
                                core::kMaxAttributes));
    if (!OidIsValid(index_getprocid(index, 1, kDistanceProc)))
        refuse_columns(index, "does not begin with a vector column",
                       "Name a vector column with its operator class first: USING hnsw "
                       "(embedding vector_l2_ops, category). Without one, use btree.");
    for (int i = 1; i < columns; i++) {
        if (OidIsValid(index_getprocid(index, static_cast<AttrNumber>(i + 1), kDistanceProc)))
            refuse_columns(
                index, "has more than one vector column",
                "Only the first column of an hnsw index is a vector; create an index for "
                "each vector column.");
        AttributeColumn &column = columns_[count_++];
        column.kind = find_attribute_kind(index->rd_opcintype[i]);
        if (column.kind == nullptr)
            refuse_columns(index, "has an operator class that hnsw does not know",
                           "Use the default operator classes for the columns after the first.");
        column.collation = index->rd_indcollation[i];
        if (column.kind->space == KeySpace::kSignature)
            column.element = element_type(index, i);
    }
}

core::Attributes AttributeColumns::keys_of(const Datum *values, const bool *isnull) const {
    core::Attributes row;
    for (uint32_t i = 0; i < count_; i++) {
        if (isnull[i + 1])
            row.nulls |= static_cast<uint8_t>(1u << i);
        else
            row.key[i] = columns_[i].kind->key(values[i + 1], columns_[i]);
    }
    return row;
}

}  // namespace hnsw::pg
