// SQL type vector: the C functions behind its part of the extension script.
#include "pg/type_common.h"

namespace hnsw::pg {

using vec::F32;

HNSW_FUNCTION(vector_in, type_in<F32>);
HNSW_FUNCTION(vector_out, type_out<F32>);
HNSW_FUNCTION(vector_recv, type_recv<F32>);
HNSW_FUNCTION(vector_send, type_send<F32>);
HNSW_FUNCTION(vector_typmod_in, type_typmod_in<F32>);

HNSW_FUNCTION(vector, type_coerce<F32>);
HNSW_FUNCTION(array_to_vector, type_from_array<F32>);
HNSW_FUNCTION(vector_to_float4, type_to_float4_array<F32>);

HNSW_FUNCTION(l2_distance, distance<F32, vec::l2_distance<F32>>);
HNSW_FUNCTION(inner_product, distance<F32, vec::inner_product<F32>>);
HNSW_FUNCTION(cosine_distance, distance<F32, vec::cosine_distance<F32>>);
HNSW_FUNCTION(l1_distance, distance<F32, vec::l1_distance<F32>>);
HNSW_FUNCTION(vector_l2_squared_distance, distance<F32, vec::l2_squared_distance<F32>>);
HNSW_FUNCTION(vector_negative_inner_product, negative_inner_product<F32>);
HNSW_FUNCTION(vector_spherical_distance, distance<F32, vec::spherical_distance<F32>>);

HNSW_FUNCTION(vector_dims, dims<F32>);
HNSW_FUNCTION(vector_norm, norm<F32>);
HNSW_FUNCTION(l2_normalize, normalize<F32>);
HNSW_FUNCTION(binary_quantize, binary_quantize<F32>);
HNSW_FUNCTION(subvector, subvector<F32>);

HNSW_FUNCTION(vector_add, arithmetic<F32, vec::add<F32>>);
HNSW_FUNCTION(vector_sub, arithmetic<F32, vec::subtract<F32>>);
HNSW_FUNCTION(vector_mul, arithmetic<F32, vec::multiply<F32>>);
HNSW_FUNCTION(vector_concat, concatenate<F32>);

HNSW_FUNCTION(vector_lt, compare_is<F32, std::less<>>);
HNSW_FUNCTION(vector_le, compare_is<F32, std::less_equal<>>);
HNSW_FUNCTION(vector_eq, compare_is<F32, std::equal_to<>>);
HNSW_FUNCTION(vector_ne, compare_is<F32, std::not_equal_to<>>);
HNSW_FUNCTION(vector_ge, compare_is<F32, std::greater_equal<>>);
HNSW_FUNCTION(vector_gt, compare_is<F32, std::greater<>>);
HNSW_FUNCTION(vector_cmp, cmp<F32>);
HNSW_FUNCTION(vector_hash, hash<F32, false>);
HNSW_FUNCTION(vector_hash_extended, hash<F32, true>);

HNSW_FUNCTION(vector_accum, avg_accumulate<F32>);
HNSW_FUNCTION(vector_combine, avg_combine<F32>);
HNSW_FUNCTION(vector_avg, avg_final<F32>);

}  // namespace hnsw::pg
