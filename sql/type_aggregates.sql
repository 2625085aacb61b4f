SELECT avg(v), sum(v), count(v) FROM unnest(ARRAY['[1,2,3]'::vector, '[3,5,7]']) AS v;
SELECT avg(v), sum(v) FROM unnest(ARRAY['[1,2,3]'::vector, NULL, '[3,5,7]']) AS v;
SELECT avg(v), sum(v) FROM unnest(ARRAY[]::vector[]) AS v;
SELECT avg(v), sum(v) FROM unnest(ARRAY[NULL]::vector[]) AS v;
SELECT avg(v), sum(v) FROM unnest(ARRAY['[1,2]'::vector, '[3]']) AS v;
SELECT avg(v) FROM unnest(ARRAY['[1,2]'::vector, '[3]']) AS v;
-- avg sums in double: no overflow where the mean is in range; sum is a vector.
SELECT avg(v) FROM unnest(ARRAY['[3e38]'::vector, '[3e38]']) AS v;
SELECT sum(v) FROM unnest(ARRAY['[3e38]'::vector, '[3e38]']) AS v;
SELECT avg(DISTINCT v), sum(DISTINCT v) FROM unnest(ARRAY['[1]'::vector, '[1]', '[4]']) AS v;
SELECT avg(v) FILTER (WHERE v > '[1]'), avg(v) FROM unnest(ARRAY['[1]'::vector, '[2]', '[3]']) AS v;

-- The transition functions, called as such.
SELECT vector_accum('{0}', '[1,2,3]'), vector_accum('{1,1,2,3}', '[10,20,30]');
SELECT vector_combine('{0}', '{0}'), vector_combine('{0}', '{2,1,2}'), vector_combine('{2,1,2}', '{0}'),
       vector_combine('{2,1,2}', '{3,10,20}');
SELECT vector_avg('{2,6,9}'), vector_avg('{0}'), vector_avg('{0,0,0}');
SELECT vector_accum('{1,1e308}', '[1]'), vector_combine('{1,1e308}', '{1,1e308}');
SELECT vector_combine('{1,1.7e308}', '{1,1.7e308}');
-- What is no state is refused.
SELECT vector_accum('{}', '[1]');
SELECT vector_accum('{{0}}', '[1]');
SELECT vector_accum('{NULL}', '[1]');
SELECT vector_accum('{1,2,3}', '[1]');
SELECT vector_combine('{}', '{0}');
SELECT vector_combine('{1,2,3}', '{1,2}');
SELECT vector_avg('{}');
SELECT vector_avg('{1}');
SELECT vector_avg('{1,NaN}');
SELECT vector_avg('{1,1e300}');
SELECT vector_avg(array_fill(1::float8, ARRAY[16002]));
-- A state handed in by a user is not changed in place.
SELECT s, vector_accum(s, '[1]'), s FROM (VALUES ('{1,1}'::float8[])) AS t (s);

-- Window frames and grouping.
CREATE TABLE t (id int, g int, v vector(3));
INSERT INTO t SELECT i, i % 3, ARRAY[i, i * 2, 1] FROM generate_series(1, 30000) AS i;
SELECT id, avg(v) OVER w, sum(v) OVER w FROM t WHERE id <= 4
    WINDOW w AS (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) ORDER BY id;
SELECT g, avg(v), sum(v) FROM t WHERE id <= 30 GROUP BY g ORDER BY g;

-- In parallel, with workers that see rows and workers that see none.
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT avg(v), sum(v) FROM t;
SELECT avg(v), sum(v) FROM t WHERE id <= 1000;
SELECT avg(v), sum(v) FROM t WHERE id < 0;
SELECT avg(v), sum(v) FROM t WHERE id = 7;
SELECT avg(v) = (SELECT ARRAY[avg(id), avg(id * 2), 1]::vector FROM t) FROM t;
DROP TABLE t;
