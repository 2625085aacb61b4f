/* Rotation, quantisation, estimates and bounds. codes.h has the formulas. */
#include "core/codes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace hnsw::core {

namespace {

constexpr uint32_t kRounds = 4;

/* Scales further apart than this are treated as this far apart, so that no float overflows. */
constexpr float kMaxRelativeScale = 1e15f;

constexpr double kMaxFactorA = 1e36;
constexpr double kMaxFactorB = 1e18;

constexpr double kEpsilon = 0x1p-23;

constexpr auto kOnes = [] {
    std::array<int8_t, 64> ones{};
    ones.fill(1);
    return ones;
}();

uint64_t splitmix64(uint64_t &state) {
    uint64_t z = (state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* The power of two just above `value`; 1 for 0. */
double power_above(double value) {
    if (value == 0)
        return 1;
    int exponent;
    std::frexp(value, &exponent);
    return std::ldexp(1.0, exponent);
}

/* value / unit as a float that is finite whatever the two are. */
float relative_scale(float scale, double unit) {
    return static_cast<float>(std::min<double>(scale / unit, kMaxRelativeScale));
}

float to_finite_float(double value) {
    return static_cast<float>(std::clamp<double>(value, -FLT_MAX, FLT_MAX));
}

/* Relative error of any kernel's float sum over `dim` terms, and with some to spare that of the
 * operators' (simd/kernels.h states theirs): the narrowest tables sum in four lanes. */
double sum_error(uint32_t dim) { return (dim / 4.0 + 64) * kEpsilon; }

}  // namespace

Rotation::Rotation(uint32_t padded_dim, uint64_t seed, std::pmr::memory_resource *memory)
    : dim_(padded_dim),
      power_(std::bit_floor(padded_dim)),
      norm_(1.0f / std::sqrt(static_cast<float>(power_))),
      signs_(size_t{kRounds} * padded_dim / 64, memory) {
    for (uint64_t &word : signs_)
        word = splitmix64(seed);
}

void Rotation::flip(float *x, uint32_t round) const {
    simd::code_kernels().negate(x, &signs_[size_t{round} * (dim_ / 64)], dim_);
}

/* The transform covers a power of two; alternating ends reaches every coordinate. It is its own
 * inverse. */
void Rotation::transform(float *x, uint32_t round) const {
    float *part = round % 2 == 0 ? x : x + (dim_ - power_);
    simd::code_kernels().hadamard(part, norm_, power_);
}

void Rotation::apply(float *x) const {
    for (uint32_t round = 0; round < kRounds; round++) {
        flip(x, round);
        transform(x, round);
    }
}

void Rotation::undo(float *x) const {
    for (uint32_t round = kRounds; round-- > 0;) {
        transform(x, round);
        flip(x, round);
    }
}

uint16_t to_bf16(double value) {
    float f = static_cast<float>(value);
    uint32_t bits = std::bit_cast<uint32_t>(f);
    bits += 0x7FFF + ((bits >> 16) & 1);
    return static_cast<uint16_t>(bits >> 16);
}

Space::Space(Metric metric, uint32_t dim, uint32_t bits, uint64_t rotation_seed,
             const Centres &centres, std::pmr::memory_resource *memory)
    : metric_(metric),
      dim_(dim),
      padded_(padded_dim(dim)),
      bits_(bits),
      centre_count_(centres.count),
      rotation_(padded_, rotation_seed, memory),
      centres_(size_t{centres.count} * padded_, memory),
      shifts_(memory),
      kernels_(simd::code_kernels()) {
    for (uint32_t c = 0; c < centre_count_; c++) {
        if (centres.coordinates[c] == nullptr)
            continue;
        float *to = &centres_[size_t{c} * padded_];
        std::copy_n(centres.coordinates[c], dim_, to);
        largest_centre_ = std::max<double>(largest_centre_, kernels_.max_abs(to, dim_));
    }
    if (centre_count_ == 2) {
        shifts_.resize(size_t{2} * padded_);
        for (uint32_t i = 0; i < padded_; i++)
            shifts_[i] = centres_[padded_ + i] - centres_[i];
        if (metric_ != Metric::kL1)
            rotation_.apply(shifts_.data());
        for (uint32_t i = 0; i < padded_; i++)
            shifts_[padded_ + i] = -shifts_[i];
    }
}

/* R(c_to - c_from), or null if they are the same. */
const float *Space::shift(uint8_t from, uint8_t to) const {
    return from == to ? nullptr : &shifts_[from < to ? 0 : padded_];
}

void Space::prepare(const float *value, Query *query) const {
    query->norm = std::sqrt(kernels_.sum_squares(value, dim_));
    query->zero = metric_ == Metric::kCosine && query->norm == 0;
    query->by_product = metric_ == Metric::kInnerProduct;
    double factor = 1;
    if (metric_ == Metric::kCosine && !query->zero) {
        factor = 1 / query->norm;
        query->norm = 1;
    }
    /* Of zeros +0 alone is left: equal values have equal hashes. */
    query->value.resize(dim_);
    kernels_.scaled(value, factor, query->value.data(), dim_);
    double largest = kernels_.max_abs(query->value.data(), dim_);
    query->unit = power_above(std::max(largest, largest_centre_));
    const double inverse = 1 / query->unit;
    query->rotated.resize(size_t{centre_count_} * padded_);
    query->codes.resize(size_t{centre_count_} * bits_);
    for (uint32_t c = 0; c < centre_count_; c++) {
        float *q = &query->rotated[size_t{c} * padded_];
        const float *centre = &centres_[size_t{c} * padded_];
        kernels_.scaled_difference(query->value.data(), centre, inverse, q, dim_);
        std::fill(q + dim_, q + padded_, 0.0f);
        if (metric_ != Metric::kL1)
            rotation_.apply(q);
        quantise(query, c);
    }
}

void Space::identify(Query *query) const {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical,
                             XXH3_128bits(query->value.data(), size_t{dim_} * sizeof(float)));
    std::memcpy(query->hash, canonical.digest, sizeof(query->hash));
}

void Space::prepare_from(const Sq8 &v, Query *query) const {
    query->norm = v.norm;
    query->zero = false;
    query->by_product = false;
    query->unit = power_above(std::max<double>(v.norm, largest_centre_));
    query->rotated.resize(size_t{centre_count_} * padded_);
    query->codes.resize(size_t{centre_count_} * bits_);
    for (uint32_t c = 0; c < centre_count_; c++) {
        float *q = &query->rotated[size_t{c} * padded_];
        const float *offset = shift(v.centre, static_cast<uint8_t>(c));
        for (uint32_t i = 0; i < padded_; i++) {
            double x = double{v.scale} * v.x[i] - (offset != nullptr ? offset[i] : 0.0f);
            q[i] = static_cast<float>(x / query->unit);
        }
        quantise(query, c);
    }
}

/* Sets centred[c] from the coordinates behind it. */
void Space::quantise(Query *query, uint32_t c) const {
    const float *q = &query->rotated[size_t{c} * padded_];
    Query::Centred &centred = query->centred[c];
    centred = {.q = q};
    if (bits_ == 0)
        return;
    int8_t *x = &query->codes[size_t{c} * bits_];
    centred.x = x;
    centred.step = kernels_.max_abs(q, bits_) / 127;
    float inverse_step = centred.step > FLT_MIN ? 1 / centred.step : 0;
    kernels_.sq8_encode(q, inverse_step, centred.step, x, bits_);
    centred.sum = coded_sum(x);
}

int32_t Space::coded_sum(const int8_t *x) const {
    int32_t sum = 0;
    for (uint32_t i = 0; i < bits_; i += kOnes.size())
        sum += kernels_.i8_dot(x + i, kOnes.data(), kOnes.size());
    return sum;
}

bool Space::accumulate(const float *value, double *sum) const {
    double scale = 1;
    if (metric_ == Metric::kCosine) {
        double norm = std::sqrt(kernels_.sum_squares(value, dim_));
        if (norm == 0)
            return false;
        scale = 1 / norm;
    }
    for (uint32_t i = 0; i < dim_; i++)
        sum[i] += value[i] * scale;
    return true;
}

Sq8 Space::encode(const Query &query, uint8_t centre, int8_t *x) const {
    const float *q = query.centred[centre].q;
    float relative = kernels_.max_abs(q, padded_) / 127;
    float scale = to_finite_float(relative * query.unit);
    /* A vector too small for a normal float scale is the zero vector with an error. */
    bool zero = relative <= FLT_MIN || scale <= FLT_MIN;
    if (zero) {
        relative = 0;
        scale = to_finite_float(std::max<double>(query.unit, FLT_MIN));
    } else {
        relative = static_cast<float>(scale / query.unit);
    }
    float error2 = kernels_.sq8_encode(q, zero ? 0 : 1 / relative, relative, x, padded_);
    double error =
        metric_ == Metric::kL1 ? kernels_.sq8_l1(q, x, relative, padded_) : std::sqrt(error2);
    double dot = kernels_.i8_dot(x, x, padded_);
    Sq8 v;
    v.x = x;
    v.scale = scale;
    v.norm = to_finite_float(std::sqrt(dot) * scale);
    /* Rounded up by more than the sums above can be off. */
    v.error = to_finite_float(error * (1 + sum_error(padded_)) * query.unit + FLT_MIN);
    v.centre = centre;
    return v;
}

float Space::distance(const Query &query, const Sq8 &v) const {
    const float *q = query.centred[v.centre].q;
    float t = relative_scale(v.scale, query.unit);
    if (query.by_product)
        return -t * kernels_.sq8_ip(q, v.x, padded_);
    if (metric_ == Metric::kL1)
        return kernels_.sq8_l1(q, v.x, t, padded_);
    return kernels_.sq8_l2(q, v.x, t, padded_);
}

double Space::operator_value(const Query &query, float internal) const {
    switch (metric_) {
        case Metric::kInnerProduct:
            return internal * query.unit * query.unit;
        case Metric::kL1:
            return internal * query.unit;
        case Metric::kCosine:
            return internal * query.unit * query.unit / 2;
        case Metric::kL2:
            break;
    }
    return std::sqrt(double{internal}) * query.unit;
}

double Space::lower_bound(const Query &query, const Sq8 &v, float internal) const {
    const double sum = sum_error(padded_);
    const double rotation = (kRounds * std::bit_width(padded_) + 16) * kEpsilon;
    const double value_norm = double{v.norm} + v.error;
    if (metric_ == Metric::kInnerProduct) {
        const double product = query.norm * value_norm;
        /* The operator's float sums may be infinite from here on. */
        if (v.scale / query.unit > kMaxRelativeScale || product > FLT_MAX / 2)
            return -std::numeric_limits<double>::infinity();
        return internal * query.unit * query.unit - query.norm * v.error -
               product * (2 * sum + rotation) - padded_ * 1.5e-45;
    }
    if (metric_ == Metric::kL1) {
        double d = internal * query.unit;
        return std::max(0.0, d - v.error - 2 * sum * (d + v.error) - FLT_MIN);
    }
    double d = std::sqrt(double{internal}) * query.unit;
    /* |q'| <= |q' - v^| + |v^|; the rotation is off by its share of both norms. */
    double slack = rotation * (d + 2 * value_norm) + 2 * sum * d;
    double bound = std::max(0.0, d - v.error - slack);
    if (metric_ == Metric::kCosine)
        return std::max(0.0, bound * bound / 2 - 4 * sum);
    /* The operator's float squares lose what is below the smallest denormal. */
    return std::sqrt(std::max(0.0, bound * bound - padded_ * 1.5e-45));
}

void Space::estimate(const Query &query, const RecordView &record, float own, float *out) const {
    const RecordHeader &head = record.head();
    const Query::Centred &centred = query.centred[head.centre];
    const float t = relative_scale(head.scale, query.unit);
    const simd::EstimateArgs args = {
        .codes = record.code(0),
        .factor_a = record.factor_a(),
        .factor_b = record.factor_b(),
        .n = record.count(),
        .bits = bits_,
        .query = centred.x,
        .query_sum = centred.sum,
        .base = own,
        /* -<q, v> ~ -<q, u> - s <q', x>: half of factor b, nothing of a. */
        .mul_a = query.by_product ? 0 : t * t,
        .mul_b = query.by_product ? t * centred.step / 2 : t * centred.step,
    };
    kernels_.estimate(args, out);
}

float Space::between(const Sq8 &a, const Sq8 &b, double unit) const {
    if (metric_ == Metric::kL1 && a.centre == b.centre)
        return kernels_.i8_l1(a.x, relative_scale(a.scale, unit), b.x,
                              relative_scale(b.scale, unit), padded_);
    if (a.centre != b.centre) {
        const float *offset = shift(a.centre, b.centre);
        double sum = 0;
        for (uint32_t i = 0; i < padded_; i++) {
            double diff = double{b.scale} * b.x[i] - double{a.scale} * a.x[i] + offset[i];
            sum += metric_ == Metric::kL1 ? std::fabs(diff) / unit : diff / unit * (diff / unit);
        }
        return to_finite_float(sum);
    }
    double product = double{a.scale} * b.scale * kernels_.i8_dot(a.x, b.x, padded_);
    double square = double{a.norm} * a.norm + double{b.norm} * b.norm - 2 * product;
    return to_finite_float(std::max(0.0, square) / unit / unit);
}

void Space::encode_edge(const RecordImage &u, const Sq8 &v, uint32_t slot) const {
    const RecordHeader &head = u.head();
    /* Everything relative to u's scale, the distance between the centres too. */
    float scaled_shift[kMaxDimensions + 64];
    const float *offset = shift(head.centre, v.centre);
    if (offset != nullptr) {
        for (uint32_t i = 0; i < padded_; i++)
            scaled_shift[i] = static_cast<float>(offset[i] / head.scale);
        offset = scaled_shift;
    }
    const float t = relative_scale(v.scale, head.scale);
    /* Beyond the coded coordinates the squared length is all that is asked for. */
    const bool by_norms = offset == nullptr && bits_ < padded_;
    simd::EdgeSums sums = kernels_.edge_code(u.own(), 1.0f, v.x, t, offset,
                                             by_norms ? bits_ : padded_, bits_, u.code(slot));
    if (by_norms) {
        const double of_u = head.norm / head.scale, of_v = double{t} * v.norm / v.scale;
        const double product = double{t} * kernels_.i8_dot(u.own(), v.x, padded_);
        sums.r2 = static_cast<float>(std::max(0.0, of_u * of_u + of_v * of_v - 2 * product));
    }
    double s = sums.abs_sum > 0 ? double{sums.r2} / sums.abs_sum : 0;
    double a = sums.r2 + 2 * s * sums.dot_u;
    double b = -2 * s;
    u.factor_a()[slot] = to_bf16(std::clamp(a, -kMaxFactorA, kMaxFactorA));
    u.factor_b()[slot] = to_bf16(std::clamp(b, -kMaxFactorB, kMaxFactorB));
}

void Space::edge_lengths(const RecordView &record, float *out) const {
    const int8_t *own = record.own();
    /* The estimate of a query that is the node itself. */
    const simd::EstimateArgs args = {
        .codes = record.code(0),
        .factor_a = record.factor_a(),
        .factor_b = record.factor_b(),
        .n = record.count(),
        .bits = bits_,
        .query = own,
        .query_sum = coded_sum(own),
        .base = 0,
        .mul_a = 1,
        .mul_b = 1,
    };
    kernels_.estimate(args, out);
    for (uint32_t i = 0; i < args.n; i++)
        out[i] = std::max(out[i], 0.0f);
}

void Space::decode(const Sq8 &v, double *sum, float *scratch) const {
    for (uint32_t i = 0; i < padded_; i++)
        scratch[i] = v.x[i];
    if (metric_ != Metric::kL1)
        rotation_.undo(scratch);
    const float *centre = &centres_[size_t{v.centre} * padded_];
    for (uint32_t i = 0; i < dim_; i++)
        sum[i] += double{scratch[i]} * v.scale + centre[i];
}

EdgeAngles::EdgeAngles(uint32_t bits, std::pmr::memory_resource *memory)
    : kernels_(simd::code_kernels()),
      bits_(bits),
      cosines_(bits + 1, memory),
      roots_(memory),
      differing_(memory) {
    for (uint32_t i = 0; i <= bits && bits != 0; i++)
        cosines_[i] = static_cast<float>(2 * std::cos(M_PI * i / bits));
}

float EdgeAngles::between(float length_a, const uint8_t *code_a, float length_b,
                          const uint8_t *code_b) const {
    const float twice = cosines_[kernels_.hamming(code_a, code_b, bits_)];
    return std::max(0.0f, length_a + length_b - std::sqrt(length_a * length_b) * twice);
}

uint32_t EdgeAngles::most_redundant(const float *length, const uint8_t *const *codes, uint32_t n) {
    roots_.resize(n);
    differing_.resize(n);
    for (uint32_t i = 0; i < n; i++)
        roots_[i] = std::sqrt(length[i]);
    uint32_t worst = n - 1;
    float worst_ratio = 1;
    for (uint32_t i = 1; i < n; i++) {
        kernels_.hamming_many(codes[i], codes, i, bits_, differing_.data());
        const float *roots = roots_.data();
        const float *cosines = cosines_.data();
        const uint32_t *differing = differing_.data();
        float apart = length[i];
        for (uint32_t j = 0; j < i; j++) {
            const float squared =
                length[i] + length[j] - roots[i] * roots[j] * cosines[differing[j]];
            apart = squared < apart ? squared : apart;
        }
        const float ratio = length[i] / std::max(apart, FLT_MIN);
        if (apart < length[i] && ratio >= worst_ratio) {
            worst = i;
            worst_ratio = ratio;
        }
    }
    return worst;
}

}  // namespace hnsw::core
