/*
 * The numbers of the index: how a vector becomes an SQ8 record, how an edge becomes a 1-bit code,
 * how a query estimates distances from codes, and which lower bound an SQ8 distance proves.
 *
 * Notation: v the indexed value (for cosine its unit vector), c a centre, R the rotation (random
 * signs and fast Hadamard; identity for L1), v' = R(v - c), v^ = scale * x the SQ8 vector nearest
 * to v', e = |v' - v^| its error norm.  All distances inside the core are "internal": squared
 * Euclidean (L2, cosine), negative inner product, or L1, in units of the query (see Query::unit).
 *
 *   own     D(q, u)  = |q' - u^|^2                                  from the record's own vector
 *   edge    r = v^ - u^,  x = sign(r),  s = |r|^2 / <r, x>
 *   est     |q - v|^2 ~ D(q, u) + [|r|^2 + 2 s <u^, x>] - 2 s <q', x>   (RaBitQ, centred on u)
 *   bound   |q - v| >= |q' - u^| - e                                 (triangle inequality)
 *
 * Factors are stored relative to the record's own scale so that values from 1e-30 to 1e30 work.
 * When the code has fewer bits than there are dimensions, x is zero beyond them.
 */
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

#include "core/meta.h"
#include "core/record.h"
#include "simd/code_kernels.h"

namespace hnsw::core {

/* Random orthogonal transform of padded_dim(dim) coordinates: rounds of sign flips and Hadamard
 * transforms over the largest power of two, alternating ends.  Deterministic in `seed`. */
class Rotation {
public:
    Rotation(uint32_t padded_dim, uint64_t seed, std::pmr::memory_resource *memory);
    /* x: padded_dim floats, in place. */
    void apply(float *x) const;
    /* The inverse. */
    void undo(float *x) const;

private:
    void flip(float *x, uint32_t round) const;
    void transform(float *x, uint32_t round) const;

    uint32_t dim_;
    uint32_t power_;
    float norm_;
    std::pmr::vector<uint64_t> signs_; /* kRounds * dim/64 words */
};

/* bfloat16: the upper half of a float, rounded to nearest; finite input beyond its range becomes
 * the largest finite value. */
uint16_t to_bf16(double value);
inline float from_bf16(uint16_t value) {
    uint32_t bits = uint32_t{value} << 16;
    float f;
    __builtin_memcpy(&f, &bits, 4);
    return f;
}

/* An SQ8 vector by reference. */
struct Sq8 {
    const int8_t *x = nullptr;
    float scale = 0;
    float norm = 0;
    float error = 0;
    uint8_t centre = 0;
};

inline Sq8 sq8_of(const RecordView &view) {
    const RecordHeader &h = view.head();
    return {view.own(), h.scale, h.norm, h.error, h.centre};
}

/*
 * A value prepared for comparison with records: rotated, centred for each centre, quantised.
 * Also what an insert or the build encodes a row from.
 */
struct Query {
    explicit Query(std::pmr::memory_resource *memory)
        : value(memory), rotated(memory), codes(memory) {}

    struct Centred {
        const float *q = nullptr;  /* padded_dim coordinates, divided by unit */
        const int8_t *x = nullptr; /* the same as int8: q ~ step * x */
        float step = 0;
        int32_t sum = 0; /* of the first `bits` of x */
    };
    double unit = 1;   /* power of two: internal distances are in units of unit^2 (L1: unit) */
    double norm = 0;   /* Euclidean norm of the value, in its own unit */
    bool zero = false; /* cosine: the value has no direction */
    /* Distances are negative inner products (a scan of that opclass). The graph itself is
     * Euclidean for every metric but L1: on it a linear function has no local maximum that is not
     * the global one, and a short vector is not cut off by long ones. */
    bool by_product = false;
    Centred centred[kMaxCentres];
    uint8_t hash[16] = {}; /* of `value`: Space::identify() */

    std::pmr::vector<float> value;   /* as indexed: for cosine the unit vector */
    std::pmr::vector<float> rotated; /* behind Centred::q */
    std::pmr::vector<int8_t> codes;  /* behind Centred::x */
};

/* The vector space of an index: everything that turns values into codes and codes into
 * distances. Immutable after construction; shared by any number of searches. */
class Space {
public:
    /* What values are centred around before they are rotated. At least one. */
    struct Centres {
        uint32_t count = 1;
        const float *coordinates[kMaxCentres] = {}; /* dim floats each; null = the origin */
    };
    Space(Metric metric, uint32_t dim, uint32_t bits, uint64_t rotation_seed,
          const Centres &centres, std::pmr::memory_resource *memory);

    Metric metric() const { return metric_; }
    uint32_t dim() const { return dim_; }
    uint32_t padded() const { return padded_; }
    uint32_t bits() const { return bits_; }
    uint32_t centre_count() const { return centre_count_; }
    bool has_codes() const { return bits_ != 0; }

    /* value: dim finite floats. hash is not set. */
    void prepare(const float *value, Query *query) const;
    /* The same for a value of which only the record is at hand: its SQ8 vector stands for it. Nor is
     * value set. */
    void prepare_from(const Sq8 &v, Query *query) const;
    /* Sets the hash of a prepared value, by which equal ones find each other and get a level. */
    void identify(Query *query) const;
    /* Adds the value (for cosine its unit vector) to `sum`, dim doubles: centres are averages of
     * these. False, and nothing added, for a cosine zero vector. */
    bool accumulate(const float *value, double *sum) const;

    /* SQ8 of the query's value relative to `centre`; x: padded bytes to write. */
    Sq8 encode(const Query &query, uint8_t centre, int8_t *x) const;

    /* Internal distance from query to an SQ8 vector. */
    float distance(const Query &query, const Sq8 &v) const;
    /* Lower bound, in the operator's own unit, of the operator's result for any value whose SQ8
     * vector is `v` and whose internal distance() came out as `internal`; clamped at 0 for L2,
     * cosine and L1.  Includes slack for rounding, rotation and any summation order. */
    double lower_bound(const Query &query, const Sq8 &v, float internal) const;
    /* The operator's result if the SQ8 vector were exact; for statistics and choosers. */
    double operator_value(const Query &query, float internal) const;
    /* Internal distances from query to all neighbours of a record, given own = distance(query,
     * record).  out: count() floats. Only if has_codes(). */
    void estimate(const Query &query, const RecordView &record, float own, float *out) const;

    /* Internal distance between two SQ8 vectors, in units of unit^2 (L1: unit). */
    float between(const Sq8 &a, const Sq8 &b, double unit) const;

    /* Writes the code and factors of the edge u -> v into slot `slot` of a record image of u
     * (own vector and header already there). */
    void encode_edge(const RecordImage &u, const Sq8 &v, uint32_t slot) const;
    /* Squared lengths |v - u|^2 of all edges of a record, relative to its scale squared, from its
     * codes alone. out: count() floats. Only if has_codes(). */
    void edge_lengths(const RecordView &record, float *out) const;
    /* Adds the value an SQ8 vector stands for to `sum`, dim doubles. scratch: padded floats. */
    void decode(const Sq8 &v, double *sum, float *scratch) const;

    const simd::CodeKernels &kernels() const { return kernels_; }

private:
    const float *shift(uint8_t from, uint8_t to) const;
    void quantise(Query *query, uint32_t centre) const;
    /* The sum of x's first `bits` elements. */
    int32_t coded_sum(const int8_t *x) const;

    Metric metric_;
    uint32_t dim_;
    uint32_t padded_;
    uint32_t bits_;
    uint32_t centre_count_;
    Rotation rotation_;
    double largest_centre_ = 0;       /* largest coordinate of any centre, absolute */
    std::pmr::vector<float> centres_; /* centre_count * padded, zeros for the origin */
    std::pmr::vector<float> shifts_;  /* R(centre 1 - centre 0), then its negative */
    const simd::CodeKernels &kernels_;
};

/* How a node's links lie to each other, from their codes alone: the angle between two edges is
 * pi * hamming / bits.  Reusable; keeps its scratch memory. */
class EdgeAngles {
public:
    EdgeAngles(uint32_t bits, std::pmr::memory_resource *memory);

    /* Squared distance between the far ends of two edges of a node, in the unit of their squared
     * lengths. */
    float between(float length_a, const uint8_t *code_a, float length_b,
                  const uint8_t *code_b) const;
    /* n >= 1 edges, by ascending length: length squared as Space::edge_lengths() gives it, codes of
     * `bits` bits.  Returns the edge whose length is the largest multiple of the distance from its
     * far end to that of a shorter edge; the longest if every edge is shorter than that distance. */
    uint32_t most_redundant(const float *length, const uint8_t *const *codes, uint32_t n);

private:
    const simd::CodeKernels &kernels_;
    uint32_t bits_;
    std::pmr::vector<float> cosines_; /* twice the cosine, by number of differing bits */
    std::pmr::vector<float> roots_;
    std::pmr::vector<uint32_t> differing_;
};

}  // namespace hnsw::core
