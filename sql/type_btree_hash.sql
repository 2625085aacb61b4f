CREATE TABLE t (id int, v vector);
INSERT INTO t SELECT i, ARRAY[i % 10, i % 7, i]::vector FROM generate_series(1, 1000) AS i;
INSERT INTO t VALUES (1001, '[0]'), (1002, '[-0]'), (1003, '[0,1]'), (1004, NULL), (1005, '[9,9]');
ANALYZE t;

-- btree: order, ranges, uniqueness.
CREATE INDEX t_btree ON t (v);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE v = '[5,1,15]';
SELECT id FROM t WHERE v = '[5,1,15]';
EXPLAIN (COSTS OFF) SELECT id, v FROM t ORDER BY v LIMIT 4;
SELECT id, v FROM t ORDER BY v, id LIMIT 4;
SELECT id, v FROM t ORDER BY v DESC, id LIMIT 3;
SELECT count(*) FROM t WHERE v < '[5]';
SELECT count(*) FROM t WHERE v >= '[5]' AND v < '[6]';
SELECT id FROM t WHERE v = '[0]' ORDER BY id;
SELECT count(*), (SELECT count(*) FROM t WHERE v <> '[0]') FROM t WHERE v IS NULL;
DROP INDEX t_btree;
\set VERBOSITY terse
CREATE UNIQUE INDEX ON t (v);
\set VERBOSITY default
DELETE FROM t WHERE id = 1002;
CREATE UNIQUE INDEX t_unique ON t (v);
INSERT INTO t VALUES (1, '[-0]');
INSERT INTO t VALUES (1, '[0,1]') ON CONFLICT (v) DO UPDATE SET id = 2001 RETURNING *;
DROP INDEX t_unique;

-- hash: equality only; -0 is 0.
CREATE INDEX t_hash ON t USING hash (v);
EXPLAIN (COSTS OFF) SELECT id FROM t WHERE v = '[5,1,15]';
SELECT id FROM t WHERE v = '[5,1,15]';
SELECT id FROM t WHERE v = '[-0]';
DROP INDEX t_hash;
SELECT vector_hash('[0,1]') = vector_hash('[-0,1]'), vector_hash('[0,1]') = vector_hash('[1,0]'),
       vector_hash('[0]') = vector_hash('[0,0]'),
       vector_hash_extended('[1,2]', 0) = vector_hash_extended('[1,2]', 1),
       vector_hash_extended('[1,2]', 0)::bit(32) = vector_hash('[1,2]')::bit(32);
RESET enable_seqscan;

-- Hash aggregation, hash and merge joins, hash partitions.
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT v, count(*) FROM t GROUP BY v;
SELECT count(*) FROM (SELECT v, count(*) FROM t GROUP BY v) AS s;
RESET enable_sort;
SET enable_mergejoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM t AS a JOIN t AS b USING (v);
SELECT count(*) FROM t AS a JOIN t AS b USING (v);
SET enable_hashjoin = off;
SET enable_mergejoin = on;
EXPLAIN (COSTS OFF) SELECT count(*) FROM t AS a JOIN t AS b USING (v);
SELECT count(*) FROM t AS a JOIN t AS b USING (v);
RESET enable_hashjoin;
RESET enable_nestloop;
CREATE TABLE p (v vector) PARTITION BY HASH (v);
CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE p1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO p SELECT v FROM t WHERE v IS NOT NULL;
SELECT (SELECT count(*) FROM p0) > 400, (SELECT count(*) FROM p1) > 400, count(*) FROM p;
SELECT v FROM p WHERE v = '[5,1,15]';
DROP TABLE p;

-- DISTINCT, min through ORDER BY, and no default hnsw class.
SELECT count(DISTINCT v) FROM t;
SELECT opcname, amname, opcdefault FROM pg_opclass JOIN pg_am ON pg_am.oid = opcmethod
    WHERE opcintype = 'vector'::regtype AND amname IN ('btree', 'hash') ORDER BY 2, 1;
SELECT amname, amvalidate(pg_opclass.oid) FROM pg_opclass JOIN pg_am ON pg_am.oid = opcmethod
    WHERE opcintype = 'vector'::regtype AND amname IN ('btree', 'hash') ORDER BY 1;
DROP TABLE t;
