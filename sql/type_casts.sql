-- Arrays to vectors: assignment casts, so explicit or in an INSERT.
SELECT ARRAY[1,2,3]::vector, ARRAY[1.5,2]::vector, ARRAY[1,2]::real[]::vector,
       ARRAY[1,2]::double precision[]::vector, ARRAY[1,2]::numeric[]::vector;
SELECT ARRAY[1,2,3]::vector(3), '{1,2,3}'::real[]::vector(3);
SELECT ARRAY[1,2,3]::vector(2);
SELECT '{1,2,3}'::double precision[]::vector(2);
SELECT ARRAY[16777217]::vector, ARRAY[0.1]::double precision[]::vector;
SELECT '{NULL}'::real[]::vector;
SELECT '{1,NULL}'::int[]::vector;
SELECT '{}'::real[]::vector;
SELECT '{{1}}'::real[]::vector;
SELECT '{{1,2},{3,4}}'::int[]::vector;
SELECT '{NaN}'::real[]::vector;
SELECT '{Infinity}'::real[]::vector;
SELECT '{-Infinity}'::double precision[]::vector;
SELECT '{1e39}'::double precision[]::vector;
SELECT '{1e-50}'::double precision[]::vector;
SELECT '{1e39}'::numeric[]::vector;
SELECT '{NaN}'::numeric[]::vector;
SELECT '{1e-50}'::numeric[]::vector;
SELECT array_fill(0, ARRAY[16001])::vector;
SELECT vector_dims(array_fill(0, ARRAY[16000])::vector);
-- A lower bound other than 1 and a slice make no difference.
SELECT '[5:7]={1,2,3}'::int[]::vector, (ARRAY[1,2,3,4])[2:3]::vector;
-- Kinds without a cast.
SELECT ARRAY[1]::bigint[]::vector;
SELECT ARRAY['1']::text[]::vector;
SELECT '{"a":1}'::jsonb::vector;

-- Vectors to arrays: implicit.
SELECT '[1,2,3]'::vector::real[];
SELECT '[1,2,3]'::vector::real[] = ARRAY[1,2,3]::real[];
SELECT array_length('[1,2,3]'::vector, 1);
SELECT '[1,2,3]'::vector::double precision[];
SELECT (array_agg(i)::vector)::real[] = array_agg(i)::real[] FROM generate_series(1, 16000) AS i;

-- To and from text, and through json.
SELECT '[1,2]'::text::vector, '[1,2]'::vector::text, '[1,2]'::varchar::vector;
SELECT '[1,2]'::json::text::vector;

-- In assignments.
CREATE TABLE t (v vector(3));
INSERT INTO t VALUES (ARRAY[1,2,3]), ('{4,5,6}'::real[]), (ARRAY[7.5,8,9]), ('{1,1,1}'::double precision[]);
INSERT INTO t VALUES (ARRAY[1,2]);
INSERT INTO t VALUES ('[1,2]');
INSERT INTO t VALUES ('{1,2,3}'::text);
SELECT * FROM t;
DROP TABLE t;

-- Operators resolve without casts where one side is a vector.
SELECT '[1,2,3]'::vector <-> '[1,2,3]', '[1,2,3]' <-> '[1,2,4]'::vector;
SELECT '[1,2,3]'::vector = ARRAY[1,2,3]::real[];
SELECT '[1,2,3]'::vector <-> ARRAY[1,2,3];
PREPARE q(vector) AS SELECT $1 <-> '[1,2]';
EXECUTE q('[4,6]');
DEALLOCATE q;

-- Casts as the catalogue has them.
SELECT castsource::regtype, casttarget::regtype, castcontext, castfunc::regprocedure
    FROM pg_cast WHERE 'vector'::regtype IN (castsource, casttarget)
    ORDER BY 1::text, 2::text;
