-- Nested loops and LATERAL: thousands of rescans of one scan.
CREATE TABLE t (id int PRIMARY KEY, e vector(3));
INSERT INTO t
    SELECT i, ARRAY[(i % 50), (i / 50), (i * 7 % 11) / 20.0]::float4[]::vector
    FROM generate_series(1, 2000) i;
CREATE INDEX t_idx ON t USING hnsw (e vector_l2_ops);
ANALYZE t;
SET enable_seqscan = off;
SET enable_sort = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF)
    SELECT a.id, n.id FROM t a,
        LATERAL (SELECT id FROM t b ORDER BY b.e <-> a.e LIMIT 2) n WHERE a.id < 4;
-- every row finds itself first
SELECT count(*), count(*) FILTER (WHERE a.id = n.id) AS itself
    FROM t a, LATERAL (SELECT id FROM t b ORDER BY b.e <-> a.e LIMIT 1) n;
-- rows without a match, and NULL queries, in between
SELECT count(*), count(n.id) FROM generate_series(1, 20) i
    LEFT JOIN LATERAL (SELECT id FROM t b
        ORDER BY b.e <-> CASE WHEN i % 2 = 0 THEN '[1,1,0]'::vector END LIMIT 3) n ON true;
-- different amounts fetched from each scan
SELECT sum(c) FROM generate_series(1, 50) i,
    LATERAL (SELECT count(*) AS c FROM (SELECT id FROM t b
        ORDER BY b.e <-> ARRAY[i, i, 0]::vector LIMIT i * 3) s) n;
-- exact passes in rescans
SET hnsw.ef_search = 1;
SELECT sum(c) FROM generate_series(1, 20) i,
    LATERAL (SELECT count(*) AS c FROM (SELECT id FROM t b
        ORDER BY b.e <-> ARRAY[i, i, 0]::vector OFFSET 0) s) n;
RESET hnsw.ef_search;
-- memory does not grow from rescan to rescan, and little is kept for later
CREATE FUNCTION scan_memory() RETURNS bigint LANGUAGE sql AS
    $$ SELECT coalesce(sum(total_bytes), 0)::bigint FROM pg_backend_memory_contexts
       WHERE name LIKE 'hnsw%' $$;
CREATE TEMP TABLE memory (i int, bytes bigint);
BEGIN;
DECLARE c CURSOR FOR
    SELECT a.i, n.id FROM generate_series(1, 5000) a(i),
        LATERAL (SELECT id FROM t b ORDER BY b.e <-> ARRAY[a.i % 50, a.i % 40, 0]::vector LIMIT 1) n;
MOVE FORWARD 1000 IN c;
INSERT INTO memory SELECT 1000, scan_memory();
MOVE FORWARD 3990 IN c;
INSERT INTO memory SELECT 4990, scan_memory();
CLOSE c;
INSERT INTO memory SELECT 5000, scan_memory();
COMMIT;
SELECT a.bytes > 0 AS held, b.bytes <= a.bytes AS steady, c.bytes <= 1048576 AS little_kept
    FROM memory a, memory b, memory c WHERE a.i = 1000 AND b.i = 4990 AND c.i = 5000;
-- correlated sub-select, and a join that rescans the inner side
SELECT sum((SELECT id FROM t b ORDER BY b.e <-> a.e LIMIT 1)) = sum(a.id) AS same FROM t a WHERE id <= 500;
DROP TABLE t, memory;
DROP FUNCTION scan_memory;
