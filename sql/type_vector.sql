-- Input and output.
SELECT '[1,2,3]'::vector;
SELECT '[-1,-2,-3]'::vector, '[1.,2.,3.]'::vector, '[.5,+2]'::vector;
SELECT ' [ 1,  2 ,    3  ] '::vector;
SELECT E'\t\n\r\013\f[1,\n2]\t'::vector;
SELECT '[1.23456789,0.1,1e3,1e-3,1e15,123456.7,1e-5]'::vector;
SELECT '[1e37,-1e37,3.4028235e38,1e-45,1.1754944e-38,1e-46,-1e-46]'::vector;
SELECT '[0x1p4,0X.8,1E2]'::vector;
SELECT '[0,-0]'::vector;
SELECT '[1.5e+38]'::vector;
SELECT '[1,2,3]'::vector(3);
SELECT '[1,2,3]'::vector(2);
SELECT '[1,2,3]'::vector(3, 2);
SELECT '[1,2,3]'::vector('a');
SELECT '[1,2,3]'::vector(0);
SELECT '[1,2,3]'::vector(16001);
SELECT format_type('vector'::regtype, 3), format_type('vector'::regtype, -1);
SELECT unnest('{"[1,2,3]","[4,5,6]"}'::vector[]);
SELECT '{"[1,2,3]"}'::vector(2)[];
-- The largest vector; the text form comes back as it went in.
SELECT vector_dims(v), v::text::vector = v, round(vector_norm(v)::numeric, 6)
    FROM (SELECT array_agg(i / 7.0 ORDER BY i)::vector AS v FROM generate_series(1, 16000) AS i) AS s;
-- Binary form: int16 dimensions, int16 zero, then float4s, all big-endian.
SELECT vector_send('[1,-2,0.5]');
-- Storage.
SELECT typstorage, typlen, typbyval, typalign, typcategory FROM pg_type WHERE oid = 'vector'::regtype;

-- Arithmetic.
SELECT '[1,2,3]'::vector + '[4,5,6]';
SELECT '[3e38]'::vector + '[3e38]';
SELECT '[1,2]'::vector + '[3]';
SELECT '[1,2,3]'::vector - '[4,5,6]';
SELECT '[-3e38]'::vector - '[3e38]';
SELECT '[1,2]'::vector - '[3]';
SELECT '[1,2,3]'::vector * '[4,5,6]';
SELECT '[1e37]'::vector * '[1e37]';
SELECT '[1e-37]'::vector * '[1e-37]';
SELECT '[0,1e-37]'::vector * '[1e-37,0]';
SELECT '[1,2]'::vector * '[3]';
SELECT '[1,2,3]'::vector || '[4,5]';
SELECT array_fill(0, ARRAY[16000])::vector || '[1]';

-- Comparison.
SELECT a, b, a < b AS lt, a <= b AS le, a = b AS eq, a <> b AS ne, a >= b AS ge, a > b AS gt,
       vector_cmp(a, b)
    FROM (VALUES ('[1,2,3]'::vector, '[1,2,3]'::vector), ('[1,2,3]', '[1,2,4]'), ('[1,2]', '[1,2,0]'),
                 ('[2]', '[1,2,3]'), ('[1,2]', '[0]'), ('[0]', '[-0]')) AS t (a, b);

-- Dimensions, norm, normalisation.
SELECT vector_dims('[1,2,3]'::vector);
SELECT vector_norm('[3,4]'), l2_norm('[3,4]'::vector), vector_norm('[0,1]'), vector_norm('[0,0]');
SELECT round(vector_norm('[3e37,4e37]')::numeric / 1e37, 5), vector_norm('[1e-40]') > 0;
SELECT l2_normalize('[3,4]'::vector), l2_normalize('[3,0]'::vector), l2_normalize('[0,0.1]'::vector), l2_normalize('[0,0]'::vector);
SELECT l2_normalize('[3e38]'::vector), l2_normalize('[1e-40]'::vector);

-- Distances: the functions and their operators.
SELECT l2_distance('[0,0]'::vector, '[3,4]'), '[0,0]'::vector <-> '[3,4]';
SELECT l2_distance('[0,0]'::vector, '[0,1]'), l2_distance('[3e38]'::vector, '[-3e38]');
SELECT l2_distance('[1,2]'::vector, '[3]');
SELECT inner_product('[1,2]'::vector, '[3,4]'), '[1,2]'::vector <#> '[3,4]';
SELECT inner_product('[3e38]'::vector, '[3e38]'), '[3e38]'::vector <#> '[3e38]';
SELECT inner_product('[1,2]'::vector, '[3]');
SELECT cosine_distance('[1,2]'::vector, '[2,4]'), '[1,2]'::vector <=> '[2,4]';
SELECT cosine_distance('[1,2]'::vector, '[0,0]'), cosine_distance('[0,0]'::vector, '[0,0]');
SELECT cosine_distance('[1,1]'::vector, '[1,1]'), cosine_distance('[1,0]'::vector, '[0,2]'),
       cosine_distance('[1,1]'::vector, '[-1,-1]');
SELECT cosine_distance('[1,1]'::vector, '[1.1,1.1]'), cosine_distance('[1,1]'::vector, '[-1.1,-1.1]');
SELECT cosine_distance('[3e38]'::vector, '[3e38]');
SELECT cosine_distance('[1,2]'::vector, '[3]');
SELECT l1_distance('[0,0]'::vector, '[3,4]'), '[0,0]'::vector <+> '[3,4]';
SELECT l1_distance('[3e38]'::vector, '[-3e38]');
SELECT l1_distance('[1,2]'::vector, '[3]');
-- More elements than any register has lanes.
SELECT l2_distance(a, b), inner_product(a, b), l1_distance(a, b),
       l2_distance(a, a), abs(cosine_distance(a, a)) < 1e-6
    FROM (SELECT array_agg(i % 5 ORDER BY i)::vector AS a, array_agg(i % 3 ORDER BY i)::vector AS b
          FROM generate_series(1, 1000) AS i) AS s;

-- Support functions.
SELECT vector_l2_squared_distance('[0,0]', '[3,4]'), vector_negative_inner_product('[1,2]', '[3,4]'),
       vector_spherical_distance('[1,0]', '[0,1]'), vector_spherical_distance('[1,0]', '[-1,0]'),
       vector_spherical_distance('[2,0]', '[2,0]');

-- Binary quantisation.
SELECT binary_quantize('[1,0,-1]'::vector), binary_quantize('[0,0.1,-0.2,-0.3,0.4,0.5,0.6,-0.7,0.8,-0.9,1]'::vector);
SELECT length(binary_quantize(array_fill(1, ARRAY[16000])::vector));

-- Subvectors: positions from 1, as substring() counts.
SELECT subvector('[1,2,3,4,5]'::vector, 1, 3), subvector('[1,2,3,4,5]'::vector, 3, 2),
       subvector('[1,2,3,4,5]'::vector, -1, 3), subvector('[1,2,3,4,5]'::vector, 3, 9),
       subvector('[1,2,3,4,5]'::vector, 3, 2147483647);
SELECT subvector('[1,2,3,4,5]'::vector, 1, 0);
SELECT subvector('[1,2,3,4,5]'::vector, 3, -1);
SELECT subvector('[1,2,3,4,5]'::vector, -1, 2);
SELECT subvector('[1,2,3,4,5]'::vector, 6, 1);
SELECT subvector('[1,2,3,4,5]'::vector, 2147483647, 10);
SELECT subvector('[1,2,3,4,5]'::vector, -2147483647, 2147483647);
SELECT subvector('[1,2,3,4,5]'::vector, -2147483644, 2147483647);

-- NULL in, NULL out.
SELECT NULL::vector <-> '[1]', l2_normalize(NULL::vector), '[1]'::vector + NULL;

-- Columns of it: values are stored out of line, uncompressed, and come back whole.
CREATE TABLE t (id int PRIMARY KEY, v vector(1000));
INSERT INTO t SELECT n, (SELECT array_agg(i * n ORDER BY i) FROM generate_series(1, 1000) AS i)
    FROM generate_series(1, 3) AS n;
INSERT INTO t VALUES (4, NULL);
INSERT INTO t VALUES (5, '[1,2]');
SELECT id, vector_dims(v), subvector(v, 998, 3), pg_column_size(v) FROM t ORDER BY id;
SELECT id FROM t ORDER BY v <-> (SELECT v FROM t WHERE id = 2), id;
SELECT id FROM t ORDER BY v DESC NULLS LAST;
ALTER TABLE t ALTER v TYPE vector(2);
ALTER TABLE t ALTER v TYPE vector(2) USING subvector(v, 1, 2);
SELECT * FROM t ORDER BY id;
ALTER TABLE t ALTER v TYPE vector;
INSERT INTO t VALUES (5, '[1,2,3]');
DROP TABLE t;
