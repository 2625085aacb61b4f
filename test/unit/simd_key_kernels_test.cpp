// Every table of key kernels this machine can run against plain conditions, entry by entry.
#include "simd/key_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace {

using hnsw::simd::Isa;
using hnsw::simd::KeyKernels;

constexpr uint64_t kEdges[] = {0,
                               1,
                               2,
                               0x7FFFFFFFFFFFFFFF,
                               0x8000000000000000,
                               0x8000000000000001,
                               0xFFFFFFFFFFFFFFFE,
                               0xFFFFFFFFFFFFFFFF,
                               0xFFFFFFFF,
                               0x100000000};

// Columns start off any vector alignment and end with the buffer, so that sanitizers see a read
// beyond it.
template <typename T>
struct Column {
    Column(uint32_t n, std::mt19937_64 &rng) : shift(1 + rng() % 7), data(n + shift) {}
    const T *begin() const { return data.data() + shift; }
    T &operator[](size_t i) { return data[i + shift]; }
    size_t shift;
    std::vector<T> data;
};

class SimdKeyKernels : public testing::TestWithParam<Isa> {
protected:
    void SetUp() override {
        if (!hnsw::simd::isa_available(GetParam()))
            GTEST_SKIP() << "this machine has no " << hnsw::simd::isa_name(GetParam());
    }
    const KeyKernels &kernels() const { return hnsw::simd::key_kernels_for(GetParam()); }

    // Small keys, random ones, and those at the ends of the range.
    Column<uint64_t> keys(uint32_t n) {
        Column<uint64_t> out(n, rng_);
        for (uint32_t i = 0; i < n; i++)
            switch (rng_() % 3) {
                case 0:
                    out[i] = rng_() % 16;
                    break;
                case 1:
                    out[i] = rng_();
                    break;
                default:
                    out[i] = kEdges[rng_() % std::size(kEdges)];
            }
        return out;
    }
    uint64_t some_key() { return rng_() % 2 == 0 ? rng_() % 16 : kEdges[rng_() % 10]; }

    // Runs a kernel over random bits, some words of them zero, and compares every bit.
    void check(uint32_t n, const std::function<void(uint64_t *)> &kernel,
               const std::function<bool(uint32_t)> &meets) {
        std::vector<uint64_t> bits((n + 63) / 64);
        for (uint64_t &word : bits)
            word = rng_() % 4 == 0 ? 0 : rng_() | rng_();
        const std::vector<uint64_t> before = bits;
        kernel(bits.data());
        for (uint32_t i = 0; i < bits.size() * 64; i++) {
            const bool was = (before[i / 64] >> (i % 64) & 1) != 0;
            ASSERT_EQ((bits[i / 64] >> (i % 64) & 1) != 0, was && i < n && meets(i))
                << "entry " << i << " of " << n;
        }
    }

    std::mt19937_64 rng_{7};
};

TEST_P(SimdKeyKernels, Ranges) {
    for (uint32_t n = 0; n <= 520; n += 8)
        for (int round = 0; round < 20; round++) {
            auto column = keys(n);
            uint64_t low = some_key(), high = some_key();
            if (low > high)
                std::swap(low, high);
            check(
                n,
                [&](uint64_t *bits) {
                    kernels().keep_range(column.begin(), n, low, high - low, bits);
                },
                [&](uint32_t i) { return low <= column[i] && column[i] <= high; });
        }
}

TEST_P(SimdKeyKernels, Lists) {
    for (uint32_t n = 0; n <= 520; n += 8)
        for (uint32_t count = 0; count <= 6; count++) {
            auto column = keys(n);
            std::vector<uint64_t> list(count);
            std::generate(list.begin(), list.end(), [&] { return some_key(); });
            check(
                n,
                [&](uint64_t *bits) {
                    kernels().keep_any_of(column.begin(), n, list.data(), count, bits);
                },
                [&](uint32_t i) {
                    return std::find(list.begin(), list.end(), column[i]) != list.end();
                });
            check(
                n,
                [&](uint64_t *bits) {
                    kernels().keep_any_bits(column.begin(), n, list.data(), count, bits);
                },
                [&](uint32_t i) {
                    return std::any_of(list.begin(), list.end(),
                                       [&](uint64_t want) { return (column[i] & want) == want; });
                });
        }
}

TEST_P(SimdKeyKernels, Flags) {
    for (uint32_t n = 0; n <= 520; n += 8)
        for (int round = 0; round < 20; round++) {
            Column<uint16_t> flags(n, rng_);
            for (uint32_t i = 0; i < n; i++)
                flags[i] = static_cast<uint16_t>(rng_() & (round % 2 == 0 ? 0xFFFF : 0x8301));
            const auto mask = static_cast<uint16_t>(rng_() & rng_() & 0x8301);
            const auto value = static_cast<uint16_t>(mask & rng_());
            check(
                n,
                [&](uint64_t *bits) { kernels().keep_flags(flags.begin(), n, mask, value, bits); },
                [&](uint32_t i) { return (flags[i] & mask) == value; });
        }
}

TEST_P(SimdKeyKernels, Rows) {
    constexpr uint32_t kFarBlocks[] = {0x3FFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF};
    for (uint32_t n = 0; n <= 520; n += 8)
        for (uint32_t stride = 0; stride <= 5; stride++) {
            const uint32_t blocks = stride == 0 ? 0 : 1 + static_cast<uint32_t>(rng_() % 40);
            Column<uint64_t> words(blocks * stride, rng_);
            for (uint32_t i = 0; i < blocks * stride; i++)
                words[i] = rng_();
            Column<uint8_t> places(n * 6, rng_);
            std::vector<std::pair<uint32_t, uint16_t>> rows;
            for (uint32_t i = 0; i < n; i++) {
                const uint32_t block =
                    rng_() % 8 == 0 ? kFarBlocks[rng_() % 4] : static_cast<uint32_t>(rng_() % 45);
                const auto offset = static_cast<uint16_t>(
                    rng_() % 8 == 0 ? rng_() : (rng_() & 0x8000) | rng_() % 330);
                memcpy(&places[i * 6], &block, 4);
                memcpy(&places[i * 6 + 4], &offset, 2);
                rows.emplace_back(block, offset & 0x7FFF);
            }
            check(
                n,
                [&](uint64_t *bits) {
                    kernels().keep_rows(places.begin(), n,
                                        {words.begin(), blocks, std::max(stride, 1u)}, bits);
                },
                [&](uint32_t i) {
                    const auto [block, offset] = rows[i];
                    return block < blocks && offset < stride * 64 &&
                           (words[block * stride + offset / 64] >> (offset % 64) & 1) != 0;
                });
        }
}

INSTANTIATE_TEST_SUITE_P(AllIsas, SimdKeyKernels, testing::ValuesIn(hnsw::simd::kAllIsas),
                         [](const auto &isa) {
                             return std::string(hnsw::simd::isa_name(isa.param));
                         });

}  // namespace
