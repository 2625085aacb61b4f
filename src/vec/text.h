// The text form of dense vectors, `[1,2.5,-3e4]`, read without locale and without allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace hnsw::vec {

enum class TextError {
    kNone,
    kNoOpening,   // the first character other than space is not [
    kSyntax,      // no number where one must be, or no comma or ] after one
    kJunk,        // something other than space after ]
    kEmpty,       // []
    kTooMany,     // more elements than the caller has room for
    kOutOfRange,  // a number too large for float
    kNotANumber,  // NaN
    kInfinite,    // infinity, spelled out
};

struct TextResult {
    TextError error;
    size_t position;  // error: byte offset of the offending token, 0-based
    size_t length;    // kOutOfRange: bytes of the number
    uint32_t dim;     // kNone: elements written
};

// Reads a vector from `text` into `out`. Space, tab, newline, carriage return, vertical tab and
// form feed may stand around every token. Numbers are what strtof takes in the C locale, decimal or
// hexadecimal, with a sign or without; one too small for float becomes 0. Rounding is to nearest.
TextResult parse_dense(std::string_view text, std::span<float> out);

}  // namespace hnsw::vec
