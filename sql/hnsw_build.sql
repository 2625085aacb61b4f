-- CREATE INDEX USING hnsw: every metric, options, odd columns, every way to build.
CREATE FUNCTION exact(query text) RETURNS text LANGUAGE plpgsql AS $$
-- The same query with the index and without: 'same', or both answers.
DECLARE
    with_index text;
    without text;
BEGIN
    SET LOCAL enable_seqscan = off;
    SET LOCAL enable_sort = off;
    SET LOCAL hnsw.ef_search = 400;
    EXECUTE 'SELECT array_agg(q)::text FROM (' || query || ') q' INTO with_index;
    SET LOCAL enable_seqscan = on;
    SET LOCAL enable_sort = on;
    SET LOCAL enable_indexscan = off;
    EXECUTE 'SELECT array_agg(q)::text FROM (' || query || ') q' INTO without;
    SET LOCAL enable_indexscan = on;
    RETURN CASE WHEN with_index = without THEN 'same' ELSE with_index || ' but ' || without END;
END $$;
CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        -- version 18 says so where a plan had to use what is switched off
        IF line !~ 'Disabled: true' THEN RETURN NEXT line; END IF;
    END LOOP;
END $$;
CREATE FUNCTION vec(i int) RETURNS vector LANGUAGE sql IMMUTABLE AS
    $$ SELECT ARRAY[sin(i), cos(i * 1.7), sin(i * 0.31), cos(i * 2.3)]::float4[]::vector $$;

CREATE TABLE t (id int PRIMARY KEY, e vector(4));
INSERT INTO t SELECT i, vec(i) FROM generate_series(1, 300) i;
INSERT INTO t VALUES (301, NULL), (302, '[0,0,0,0]');

CREATE INDEX t_l2 ON t USING hnsw (e vector_l2_ops);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY e <-> '[1,0,0,0]' LIMIT 5;
SELECT exact('SELECT id FROM t ORDER BY e <-> ''[1,0.1,0.2,0.3]'' LIMIT 10');
SELECT count(*) FROM (SELECT id FROM t ORDER BY e <-> '[1,0,0,0]') s;
SELECT * FROM hnsw_check('t_l2') WHERE severity = 'error';
DROP INDEX t_l2;

CREATE INDEX t_ip ON t USING hnsw (e vector_ip_ops);
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY e <#> '[1,0,0,0]' LIMIT 5;
SELECT exact('SELECT id FROM t ORDER BY e <#> ''[1,0.1,0.2,0.3]'' LIMIT 10');
SELECT count(*) FROM (SELECT id FROM t ORDER BY e <#> '[1,0,0,0]') s;
SELECT * FROM hnsw_check('t_ip') WHERE severity = 'error';
DROP INDEX t_ip;

CREATE INDEX t_cosine ON t USING hnsw (e vector_cosine_ops);
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY e <=> '[1,0,0,0]' LIMIT 5;
SELECT exact('SELECT id FROM t ORDER BY e <=> ''[1,0.1,0.2,0.3]'' LIMIT 10');
SELECT count(*) FROM (SELECT id FROM t ORDER BY e <=> '[1,0,0,0]') s;
SELECT * FROM hnsw_check('t_cosine') WHERE severity = 'error';
DROP INDEX t_cosine;

CREATE INDEX t_l1 ON t USING hnsw (e vector_l1_ops);
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY e <+> '[1,0,0,0]' LIMIT 5;
SELECT exact('SELECT id FROM t ORDER BY e <+> ''[1,0.1,0.2,0.3]'' LIMIT 10');
SELECT count(*) FROM (SELECT id FROM t ORDER BY e <+> '[1,0,0,0]') s;
SELECT * FROM hnsw_check('t_l1') WHERE severity = 'error';
-- another operator than the index's
SELECT plan('SELECT id FROM t ORDER BY e <-> ''[1,0,0,0]'' LIMIT 5');
DROP INDEX t_l1;

-- partial index and expression
CREATE INDEX t_even ON t USING hnsw (e vector_l2_ops) WHERE id % 2 = 0;
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE id % 2 = 0 ORDER BY e <-> '[1,0,0,0]' LIMIT 5;
SELECT exact('SELECT id FROM t WHERE id % 2 = 0 ORDER BY e <-> ''[1,0.1,0.2,0.3]'' LIMIT 10');
SELECT plan('SELECT id FROM t ORDER BY e <-> ''[1,0,0,0]'' LIMIT 5');
SELECT * FROM hnsw_check('t_even') WHERE severity = 'error';
DROP INDEX t_even;
CREATE INDEX t_sub ON t USING hnsw ((subvector(e, 1, 2)::vector(2)) vector_l2_ops);
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY subvector(e, 1, 2)::vector(2) <-> '[1,0]' LIMIT 5;
SELECT exact('SELECT id FROM t ORDER BY subvector(e, 1, 2)::vector(2) <-> ''[1,0.1]'' LIMIT 10');
SELECT * FROM hnsw_check('t_sub') WHERE severity = 'error';
DROP INDEX t_sub;

-- a column without dimensions
CREATE TABLE mixed (id int, dim int, e vector);
INSERT INTO mixed SELECT i, 2, ARRAY[i, i + 1]::vector FROM generate_series(1, 20) i;
INSERT INTO mixed SELECT i, 3, ARRAY[i, i + 1, 7]::vector FROM generate_series(1, 20) i;
CREATE INDEX ON mixed USING hnsw (e vector_l2_ops);
CREATE INDEX mixed_3 ON mixed USING hnsw ((e::vector(3)) vector_l2_ops) WHERE dim = 3;
EXPLAIN (COSTS OFF)
    SELECT id FROM mixed WHERE dim = 3 ORDER BY e::vector(3) <-> '[3,4,7]' LIMIT 3;
SELECT id FROM mixed WHERE dim = 3 ORDER BY e::vector(3) <-> '[2.9,4,7]' LIMIT 3;
CREATE INDEX ON mixed USING hnsw ((e::vector(3)) vector_l2_ops);

-- built while empty, filled later
CREATE TABLE later (id int, e vector(4));
CREATE INDEX later_idx ON later USING hnsw (e vector_cosine_ops) WITH (m = 4, ef_construction = 8);
SELECT id FROM later ORDER BY e <=> '[1,0,0,0]' LIMIT 5;
INSERT INTO later SELECT i, vec(i) FROM generate_series(1, 300) i;
SELECT exact('SELECT id FROM later ORDER BY e <=> ''[1,0.1,0.2,0.3]'' LIMIT 10');
SELECT count(*) FROM (SELECT id FROM later ORDER BY e <=> '[1,0,0,0]') s;
SELECT * FROM hnsw_check('later_idx') WHERE severity = 'error';

-- CONCURRENTLY, REINDEX, options
CREATE INDEX CONCURRENTLY t_con ON t USING hnsw (e vector_l2_ops);
SELECT exact('SELECT id FROM t ORDER BY e <-> ''[1,0.1,0.2,0.3]'' LIMIT 10');
REINDEX INDEX t_con;
SELECT exact('SELECT id FROM t ORDER BY e <-> ''[1,0.1,0.2,0.3]'' LIMIT 10');
ALTER INDEX t_con SET (m = 8, ef_construction = 40);
SELECT m, ef_construction FROM hnsw_stats('t_con');
REINDEX INDEX CONCURRENTLY t_con;
SELECT m, ef_construction FROM hnsw_stats('t_con');
SELECT exact('SELECT id FROM t ORDER BY e <-> ''[1,0.1,0.2,0.3]'' LIMIT 10');
SELECT * FROM hnsw_check('t_con') WHERE severity = 'error';
TRUNCATE t;
SELECT id FROM t ORDER BY e <-> '[1,0,0,0]' LIMIT 5;
INSERT INTO t SELECT i, vec(i) FROM generate_series(1, 20) i;
SELECT exact('SELECT id FROM t ORDER BY e <-> ''[1,0.1,0.2,0.3]'' LIMIT 10');

-- records larger than a page, and the largest there is
CREATE TABLE wide (id int, e vector(3000));
INSERT INTO wide
    SELECT i, (SELECT array_agg(sin(i * 7 + j)) FROM generate_series(1, 3000) j)::float4[]::vector
    FROM generate_series(1, 40) i;
CREATE INDEX wide_idx ON wide USING hnsw (e vector_l2_ops);
SELECT exact('SELECT id FROM wide ORDER BY e <-> (SELECT e FROM wide WHERE id = 5) LIMIT 10');
INSERT INTO wide
    SELECT i, (SELECT array_agg(sin(i * 7 + j)) FROM generate_series(1, 3000) j)::float4[]::vector
    FROM generate_series(41, 50) i;
SELECT exact('SELECT id FROM wide ORDER BY e <-> (SELECT e FROM wide WHERE id = 45) LIMIT 10');
SELECT * FROM hnsw_check('wide_idx') WHERE severity = 'error';
CREATE TABLE widest (id int, e vector(16000));
INSERT INTO widest
    SELECT i, (SELECT array_agg(sin(i * 7 + j)) FROM generate_series(1, 16000) j)::float4[]::vector
    FROM generate_series(1, 10) i;
CREATE INDEX widest_idx ON widest USING hnsw (e vector_ip_ops) WITH (m = 100, ef_construction = 200);
SELECT exact('SELECT id FROM widest ORDER BY e <#> (SELECT e FROM widest WHERE id = 5) LIMIT 3');
SELECT * FROM hnsw_check('widest_idx') WHERE severity = 'error';

-- equal vectors
CREATE TABLE equal (id int, e vector(2));
CREATE INDEX equal_idx ON equal USING hnsw (e vector_l2_ops);
INSERT INTO equal SELECT i, '[1,1]' FROM generate_series(1, 500) i;
INSERT INTO equal SELECT i, '[2,2]' FROM generate_series(501, 510) i;
SELECT count(*) FROM (SELECT id FROM equal ORDER BY e <-> '[2,2]' LIMIT 300) s;
SELECT count(*), max(id) FROM (SELECT id FROM equal ORDER BY e <-> '[0,0]') s;
SELECT rows, duplicate_rows, nodes_per_level[1] FROM hnsw_stats('equal_idx');
SELECT * FROM hnsw_check('equal_idx') WHERE severity = 'error';

DROP TABLE t, mixed, later, wide, widest, equal;
DROP FUNCTION exact, plan, vec;
