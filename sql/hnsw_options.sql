-- Settings and storage parameters.
LOAD 'hnsw';
SHOW hnsw.ef_search;
SHOW hnsw.iterative_scan;
SHOW hnsw.max_scan_tuples;
SHOW hnsw.scan_mem_multiplier;
SET hnsw.ef_search = 0;
SET hnsw.ef_search = 10001;
SET hnsw.ef_search = 10000;
SET hnsw.iterative_scan = 'sometimes';
SET hnsw.iterative_scan = on;
SET hnsw.iterative_scan = off;
SET hnsw.iterative_scan = relaxed_order;
SET hnsw.iterative_scan = strict_order;
SET hnsw.max_scan_tuples = 0;
SET hnsw.max_scan_tuples = 20000;
SET hnsw.max_scan_tuples = 2147483647;
SET hnsw.scan_mem_multiplier = 0.5;
SET hnsw.scan_mem_multiplier = 1001;
SET hnsw.scan_mem_multiplier = 2.5;
SHOW hnsw.scan_mem_multiplier;
SET hnsw.nosuch = 1;
RESET ALL;
BEGIN;
SET LOCAL hnsw.ef_search = 100;
SHOW hnsw.ef_search;
ROLLBACK;
SHOW hnsw.ef_search;
-- settings of pgvector's other access method do no harm
SET ivfflat.probes = 10;
SET ivfflat.iterative_scan = relaxed_order;

-- before the library is loaded, in a session of its own
\c
SET hnsw.ef_search = 123;
SET hnsw.iterative_scan = relaxed_order;
LOAD 'hnsw';
SHOW hnsw.ef_search;
SHOW hnsw.iterative_scan;
\c
SET hnsw.ef_search = 123456;
LOAD 'hnsw';
SHOW hnsw.ef_search;

CREATE TABLE t (id int, e vector(2));
INSERT INTO t SELECT i, ARRAY[i, i % 7]::vector FROM generate_series(1, 1000) i;
CREATE INDEX t_idx ON t USING hnsw (e vector_l2_ops) WITH (m = 4, ef_construction = 16);
SELECT metric, dimensions, m, ef_construction FROM hnsw_stats('t_idx');
SELECT reloptions FROM pg_class WHERE relname = 't_idx';
ALTER INDEX t_idx SET (ef_construction = 32);
SELECT reloptions FROM pg_class WHERE relname = 't_idx';

-- rows beyond ef_search
SET enable_seqscan = off;
SET enable_sort = off;
SET hnsw.ef_search = 5;
SELECT count(*) FROM (SELECT id FROM t ORDER BY e <-> '[500,3]' LIMIT 100) s;
SELECT count(*) FROM (SELECT id FROM t ORDER BY e <-> '[500,3]') s;
SET hnsw.iterative_scan = relaxed_order;
SELECT count(*) FROM (SELECT id FROM t ORDER BY e <-> '[500,3]') s;
SET hnsw.iterative_scan = off;
SELECT count(*) BETWEEN 5 AND 100 AS stopped
    FROM (SELECT id FROM t ORDER BY e <-> '[500,3]') s;
SET hnsw.iterative_scan = strict_order;
SET hnsw.max_scan_tuples = 50;
SELECT count(*) BETWEEN 50 AND 500 AS stopped
    FROM (SELECT id FROM t ORDER BY e <-> '[500,3]') s;
RESET hnsw.max_scan_tuples;
-- little memory: the exact pass takes over, nothing is missing, nothing comes twice
SET work_mem = '64kB';
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM t ORDER BY e <-> '[500,3]') s;
SELECT array_agg(id) FROM (SELECT id FROM t ORDER BY e <-> '[500.1,3.2]' LIMIT 5) s;

-- default is unlimited, in a plain session
\c
LOAD 'hnsw';
SHOW hnsw.max_scan_tuples;
DROP TABLE t;
