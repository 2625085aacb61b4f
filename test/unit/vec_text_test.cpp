// The text form of dense vectors: what it accepts, where it says an error is, and agreement with
// strtof, which is what users know from float4 and from other vector types.
#include "vec/text.h"

#include <gtest/gtest.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace {

using hnsw::vec::parse_dense;
using hnsw::vec::TextError;
using hnsw::vec::TextResult;

std::vector<float> parsed(const std::string &text) {
    std::vector<float> out(16000);
    TextResult r = parse_dense(text, out);
    EXPECT_EQ(r.error, TextError::kNone) << text;
    out.resize(r.dim);
    return out;
}

struct ErrorCase {
    const char *text;
    TextError error;
    size_t position;
};

TEST(VecText, Accepts) {
    using F = std::vector<float>;
    EXPECT_EQ(parsed("[1,2,3]"), (F{1, 2, 3}));
    EXPECT_EQ(parsed(" \t\n\r\v\f[ 1 ,\n2 ]  "), (F{1, 2}));
    EXPECT_EQ(parsed("[+1,-2,.5,5.,1e2,1E-2,0x1p4,-0X.8]"),
              (F{1, -2, 0.5, 5, 100, 0.01f, 16, -0.5}));
    EXPECT_EQ(parsed("[3.4028235e38,-3.4028235e38]"), (F{3.4028235e38f, -3.4028235e38f}));
    EXPECT_EQ(parsed("[1e-45,1.1754944e-38]"), (F{1e-45f, 1.1754944e-38f}));
}

TEST(VecText, TooSmallBecomesSignedZero) {
    std::vector<float> v = parsed(
        "[1e-46,-1e-400,0.00000000000000000000000000000000000000000000001,"
        "0x1p-999,0e99999,1e-99999999999999999999]");
    ASSERT_EQ(v.size(), 6u);
    for (float x : v)
        EXPECT_EQ(x, 0);
    EXPECT_FALSE(std::signbit(v[0]));
    EXPECT_TRUE(std::signbit(v[1]));
}

TEST(VecText, Errors) {
    const ErrorCase cases[] = {
        {"", TextError::kNoOpening, 0},
        {"  1,2]", TextError::kNoOpening, 2},
        {"{1,2}", TextError::kNoOpening, 0},
        {"[]", TextError::kEmpty, 1},
        {"[  ]", TextError::kEmpty, 3},
        {"[", TextError::kSyntax, 1},
        {"[1", TextError::kSyntax, 2},
        {"[1,", TextError::kSyntax, 3},
        {"[1,]", TextError::kSyntax, 3},
        {"[,1]", TextError::kSyntax, 1},
        {"[1,,2]", TextError::kSyntax, 3},
        {"[1 2]", TextError::kSyntax, 3},
        {"[a]", TextError::kSyntax, 1},
        {"[+-1]", TextError::kSyntax, 1},
        {"[--1]", TextError::kSyntax, 1},
        {"[+]", TextError::kSyntax, 1},
        {"[-", TextError::kSyntax, 1},
        {"[+ 1]", TextError::kSyntax, 1},
        {"[1e]", TextError::kSyntax, 2},
        {"[0x]", TextError::kSyntax, 2},
        {"[0xg]", TextError::kSyntax, 2},
        {"[1.2.3]", TextError::kSyntax, 4},
        {"[1]]", TextError::kJunk, 3},
        {"[1] x", TextError::kJunk, 4},
        {"[1]\xc2\xa0", TextError::kJunk, 3},
        {"[\xd9\xa1]", TextError::kSyntax, 1},
        {"[1e39]", TextError::kOutOfRange, 1},
        {"[1, -1e39]", TextError::kOutOfRange, 4},
        {"[0x1p128]", TextError::kOutOfRange, 1},
        {"[1e99999999999999999999]", TextError::kOutOfRange, 1},
        {"[340282360000000000000000000000000000000]", TextError::kOutOfRange, 1},
        {"[nan]", TextError::kNotANumber, 1},
        {"[-NaN]", TextError::kNotANumber, 1},
        {"[1,Infinity]", TextError::kInfinite, 3},
        {"[-inf]", TextError::kInfinite, 1},
        {"[1,2,3,4,5]", TextError::kTooMany, 9},
    };
    for (const ErrorCase &c : cases) {
        float out[4];
        TextResult r = parse_dense(c.text, out);
        EXPECT_EQ(r.error, c.error) << c.text;
        EXPECT_EQ(r.position, c.position) << c.text;
    }
    float out[4];
    EXPECT_EQ(parse_dense("[ -1e39 ]", out).length, 5u);
    EXPECT_EQ(parse_dense(std::string_view("[1\0]", 4), out).error, TextError::kSyntax);
}

// Shortest decimals of random bit patterns come back bit for bit.
TEST(VecText, RoundTrip) {
    std::mt19937 rng(7);
    for (int i = 0; i < 200000; i++) {
        uint32_t bits = rng();
        float x;
        memcpy(&x, &bits, sizeof(x));
        if (!std::isfinite(x))
            continue;
        char text[64] = "[";
        char *end = std::to_chars(text + 1, text + 60, x).ptr;
        *end++ = ']';
        float y[1];
        ASSERT_EQ(parse_dense(std::string_view(text, end), y).error, TextError::kNone) << text;
        ASSERT_EQ(memcmp(&x, y, sizeof(x)), 0) << text;
    }
}

// Random decimal and hexadecimal strings mean what strtof says they mean.
TEST(VecText, AgreesWithStrtof) {
    std::mt19937 rng(8);
    const std::string alphabet = "0123456789.e+-xXpabfinAFE";
    for (int i = 0; i < 300000; i++) {
        std::string number;
        for (size_t n = 1 + rng() % 9; n > 0; n--)
            number += alphabet[rng() % alphabet.size()];
        char *end;
        errno = 0;
        float want = strtof(number.c_str(), &end);
        bool whole = end == number.c_str() + number.size();
        TextError error = TextError::kNone;
        if (!whole)
            error = TextError::kSyntax;
        else if (std::isnan(want))
            error = TextError::kNotANumber;
        else if (std::isinf(want))
            error = errno == ERANGE ? TextError::kOutOfRange : TextError::kInfinite;
        float got[1];
        TextResult r = parse_dense("[" + number + "]", got);
        if (!whole) {
            // A prefix may already be out of range or not a number: the first error wins.
            EXPECT_TRUE(r.error != TextError::kNone) << number;
            continue;
        }
        ASSERT_EQ(r.error, error) << number;
        if (error == TextError::kNone) {
            ASSERT_EQ(got[0], want) << number;
            ASSERT_EQ(std::signbit(got[0]), std::signbit(want)) << number;
        }
    }
}

}  // namespace
