// What attribute_columns.cpp (keys of values) and attribute_conditions.cpp (conditions of scan keys) share.
#pragma once

#include "pg/attribute_columns.h"

namespace hnsw::pg {

// What keys mean. Keys of one space can be compared whatever the types they were made from.
enum class KeySpace : uint8_t {
    kInteger,    // the number
    kFloat,      // the number
    kNumeric,    // the nearest float8: different values may have the same key
    kTime,       // microseconds; timestamptz as UTC, the others as their clock says
    kUuid,       // the first half
    kEnum,       // the label's oid: equality only, order is the catalog's
    kHash,       // equality only
    kSignature,  // bits of the elements of an array
};

struct AttributeKind {
    Oid type;  // pg_opclass.opcintype
    KeySpace space;
    uint64_t (*key)(Datum value, const AttributeColumn &column);
};

uint64_t timestamp_key(Timestamp value);

// Midnight; `exact` false: beyond the timestamps' range, so that other dates have the same.
Timestamp timestamp_of_date(DateADT date, bool *exact);

// The bits an element sets in the signature of its array.
uint64_t element_bits(const AttributeColumn &column, Datum element);

// Calls visit(Datum, bool isnull) for each element of an array of any type.
template <typename Visit>
void for_each_element(Datum array_value, Visit &&visit) {
    ArrayType *array = DatumGetArrayTypeP(array_value);
    int16 length;
    bool by_value;
    char alignment;
    get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &alignment);
    Datum *elements;
    bool *nulls;
    int count;
    deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, alignment, &elements, &nulls,
                      &count);
    for (int i = 0; i < count; i++) {
        CHECK_FOR_INTERRUPTS();
        visit(elements[i], nulls[i]);
    }
}

}  // namespace hnsw::pg
