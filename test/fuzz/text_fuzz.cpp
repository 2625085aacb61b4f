// libFuzzer target: the text form of vectors. Any bytes may come in; what is accepted must be
// finite, within bounds, and come back bit for bit from its shortest decimals.
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "vec/text.h"

namespace {

void require(bool condition, const char *what) {
    if (!condition) {
        std::fprintf(stderr, "broken: %s\n", what);
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    using hnsw::vec::parse_dense;
    using hnsw::vec::TextError;

    std::string_view text(reinterpret_cast<const char *>(data), size);
    std::vector<float> values(64);
    hnsw::vec::TextResult r = parse_dense(text, values);
    if (r.error != TextError::kNone) {
        require(r.position <= size, "error position inside the text");
        require(r.position + r.length <= size, "error token inside the text");
        return 0;
    }
    require(r.dim >= 1 && r.dim <= values.size(), "dimensions");
    values.resize(r.dim);

    std::string printed = "[";
    for (float x : values) {
        require(std::isfinite(x), "finite elements");
        char number[64];
        printed.append(number, std::to_chars(number, number + sizeof(number), x).ptr);
        printed += ',';
    }
    printed.back() = ']';
    std::vector<float> again(values.size());
    r = parse_dense(printed, again);
    require(r.error == TextError::kNone && r.dim == values.size(), "printed text parses");
    require(std::memcmp(values.data(), again.data(), values.size() * sizeof(float)) == 0,
            "printed text means the same");
    return 0;
}
