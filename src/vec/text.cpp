// Parser of the text form of dense vectors.
#include "vec/text.h"

#include <charconv>
#include <cmath>

namespace hnsw::vec {
namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

int digit_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

// Whether a hexadecimal number starts at p. Without a digit after the prefix it is the number 0 and
// a stray x; from_chars alone would also take a sign, "inf" or "nan" there.
bool is_hexadecimal(const char *p, const char *end) {
    if (end - p < 3 || p[0] != '0' || (p[1] != 'x' && p[1] != 'X'))
        return false;
    p += p[2] == '.' ? 3 : 2;
    return p < end && digit_value(*p) < 16;
}

// [p, end) is an unsigned number that does not fit a float. Tells overflow from underflow by the
// magnitude of its first digit that is not 0: anywhere at or above 1 can only be an overflow.
bool is_large(const char *p, const char *end, int base) {
    constexpr int64_t kHuge = int64_t{1} << 40;
    int64_t magnitude = 0;  // of the first non-zero digit, in digits
    bool point = false, found = false;
    for (; p < end && (*p == '.' || digit_value(*p) < base); p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        found |= *p != '0';
        if (found && !point)
            magnitude++;
        else if (!found && point)
            magnitude--;
    }
    if (base == 16)
        magnitude *= 4;  // the exponent counts bits
    if (p == end)
        return magnitude > 0;
    p++;  // the exponent's letter
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    int64_t exponent = 0;
    for (; p < end && exponent < kHuge; p++)
        exponent = exponent * 10 + digit_value(*p);
    return magnitude + (negative ? -exponent : exponent) > 0;
}

enum class NumberError { kNone, kSyntax, kOverflow };

// Reads one number at p, sets `value` and moves p behind it.
NumberError parse_number(const char *&p, const char *end, float &value) {
    bool negative = *p == '-';
    const char *digits = p + (*p == '-' || *p == '+');
    if (digits == end || *digits == '-' || *digits == '+')
        return NumberError::kSyntax;

    bool hex = is_hexadecimal(digits, end);
    if (hex)
        digits += 2;
    auto format = hex ? std::chars_format::hex : std::chars_format::general;
    std::from_chars_result r = std::from_chars(digits, end, value, format);
    if (r.ec == std::errc::invalid_argument)
        return NumberError::kSyntax;

    p = r.ptr;
    if (r.ec == std::errc::result_out_of_range) {
        if (is_large(digits, r.ptr, hex ? 16 : 10))
            return NumberError::kOverflow;
        value = 0;
    }
    if (negative)
        value = -value;
    return NumberError::kNone;
}

}  // namespace

TextResult parse_dense(std::string_view text, std::span<float> out) {
    const char *begin = text.data(), *end = begin + text.size(), *p = begin;
    auto fail = [&](TextError error, const char *at, size_t length = 0) {
        return TextResult{error, static_cast<size_t>(at - begin), length, 0};
    };
    auto skip_space = [&] {
        while (p < end && is_space(*p))
            p++;
    };

    skip_space();
    if (p == end || *p != '[')
        return fail(TextError::kNoOpening, p);
    p++;
    skip_space();
    if (p < end && *p == ']')
        return fail(TextError::kEmpty, p);

    uint32_t dim = 0;
    for (;;) {
        if (dim == out.size())
            return fail(TextError::kTooMany, p);
        skip_space();
        if (p == end)
            return fail(TextError::kSyntax, p);
        const char *start = p;
        float value = 0;
        NumberError error = parse_number(p, end, value);
        if (error == NumberError::kSyntax)
            return fail(TextError::kSyntax, start);
        if (error == NumberError::kOverflow)
            return fail(TextError::kOutOfRange, start, static_cast<size_t>(p - start));
        if (std::isnan(value))
            return fail(TextError::kNotANumber, start);
        if (std::isinf(value))
            return fail(TextError::kInfinite, start);
        out[dim++] = value;

        skip_space();
        if (p == end || (*p != ',' && *p != ']'))
            return fail(TextError::kSyntax, p);
        if (*p++ == ']')
            break;
    }

    skip_space();
    if (p != end)
        return fail(TextError::kJunk, p);
    return {TextError::kNone, 0, 0, dim};
}

}  // namespace hnsw::vec
