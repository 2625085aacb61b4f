-- VACUUM: rows go, space comes back, the graph stays whole.
CREATE TABLE t (id int PRIMARY KEY, e vector(4)) WITH (autovacuum_enabled = off);
CREATE FUNCTION vec(i int) RETURNS vector LANGUAGE sql IMMUTABLE AS
    $$ SELECT ARRAY[sin(i), cos(i * 1.7), sin(i * 0.31), cos(i * 2.3)]::float4[]::vector $$;
INSERT INTO t SELECT i, vec(i) FROM generate_series(1, 2000) i;
INSERT INTO t SELECT i, vec(i % 100) FROM generate_series(2001, 2400) i;
INSERT INTO t SELECT i, NULL FROM generate_series(2401, 2450) i;
CREATE INDEX t_idx ON t USING hnsw (e vector_l2_ops) WITH (m = 6, ef_construction = 32);
SET enable_seqscan = off;
SET enable_sort = off;
SELECT rows, null_rows, duplicate_rows, deleted_nodes FROM hnsw_stats('t_idx');
DELETE FROM t WHERE id % 10 <> 0;
VACUUM t;
SELECT * FROM hnsw_check('t_idx') WHERE severity = 'error';
SELECT rows, null_rows, deleted_nodes, unreachable_nodes FROM hnsw_stats('t_idx');
SELECT count(*), count(DISTINCT id), bool_and(id % 10 = 0)
    FROM (SELECT id FROM t ORDER BY e <-> '[1,0,0,0]') s;
-- freed space comes back once a later transaction has begun
CREATE TABLE size_before AS SELECT pg_relation_size('t_idx') AS bytes;
VACUUM t;
-- the same again: the index need not grow
INSERT INTO t SELECT i, vec(i) FROM generate_series(3001, 4800) i;
SELECT pg_relation_size('t_idx') <= bytes * 1.1 AS reused FROM size_before;
SELECT * FROM hnsw_check('t_idx') WHERE severity = 'error';
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM t ORDER BY e <-> '[1,0,0,0]') s;
SELECT unreachable_nodes FROM hnsw_stats('t_idx');
-- other ways to vacuum
DELETE FROM t WHERE id % 20 = 0;
VACUUM (INDEX_CLEANUP off) t;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM t ORDER BY e <-> '[1,0,0,0]') s;
VACUUM (INDEX_CLEANUP on, PARALLEL 0) t;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM t ORDER BY e <-> '[1,0,0,0]') s;
SET vacuum_cost_delay = '1ms';
SET vacuum_cost_limit = 10000;
DELETE FROM t WHERE id % 30 = 0;
VACUUM t;
RESET vacuum_cost_delay;
VACUUM FREEZE t;
ANALYZE t;
SELECT reltuples = (SELECT count(*) FROM t) AS counted FROM pg_class WHERE relname = 't_idx';
VACUUM FULL t;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM t ORDER BY e <-> '[1,0,0,0]') s;
SELECT * FROM hnsw_check('t_idx') WHERE severity = 'error';
-- everything goes, and comes again
DELETE FROM t;
VACUUM t;
SELECT rows, nodes_per_level FROM hnsw_stats('t_idx');
SELECT id FROM t ORDER BY e <-> '[1,0,0,0]';
INSERT INTO t SELECT i, vec(i) FROM generate_series(1, 100) i;
SELECT count(*) FROM (SELECT id FROM t ORDER BY e <-> '[1,0,0,0]') s;
VACUUM t;
SELECT * FROM hnsw_check('t_idx') WHERE severity = 'error';
-- thousands of equal vectors
INSERT INTO t SELECT i, '[1,2,3,4]' FROM generate_series(5001, 8000) i;
DELETE FROM t WHERE id > 5000 AND id % 3 <> 0;
VACUUM t;
SELECT count(*), count(DISTINCT id)
    FROM (SELECT id FROM t WHERE id > 5000 ORDER BY e <-> '[1,2,3,4]') s;
SELECT * FROM hnsw_check('t_idx') WHERE severity = 'error';
-- rolled-back rows are dead rows
BEGIN;
INSERT INTO t SELECT i, vec(i) FROM generate_series(10001, 10200) i;
ROLLBACK;
VACUUM t;
SELECT rows, deleted_nodes FROM hnsw_stats('t_idx');
SELECT * FROM hnsw_check('t_idx') WHERE severity = 'error';
DROP TABLE t, size_before;
DROP FUNCTION vec;
