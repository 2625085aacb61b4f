-- NULL and zero vectors: every plan returns the same rows.
CREATE TABLE t (id int, e vector(3));
CREATE INDEX t_l2 ON t USING hnsw (e vector_l2_ops);
CREATE INDEX t_cosine ON t USING hnsw (e vector_cosine_ops);
CREATE INDEX t_ip ON t USING hnsw (e vector_ip_ops);
CREATE INDEX t_l1 ON t USING hnsw (e vector_l1_ops);
SET enable_seqscan = off;
SET enable_sort = off;
-- nothing but NULL and zero
INSERT INTO t VALUES (1, NULL), (2, '[0,0,0]');
SELECT id, e <=> '[1,1,1]' AS d FROM t ORDER BY e <=> '[1,1,1]';
SELECT id, e <-> '[1,1,1]' AS d FROM t ORDER BY e <-> '[1,1,1]';
SELECT id, e <#> '[1,1,1]' AS d FROM t ORDER BY e <#> '[1,1,1]';
SELECT id, e <+> '[1,1,1]' AS d FROM t ORDER BY e <+> '[1,1,1]';
INSERT INTO t VALUES (3, '[1,1,1]'), (4, '[1,1,2]'), (5, '[-1,-1,-1]'), (6, NULL), (7, '[0,0,0]');
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY e <=> '[1,1,1]';
SELECT array_agg(d) FROM (SELECT round((e <=> '[1,1,1]')::numeric, 3) AS d
    FROM t WHERE e <> '[0,0,0]' ORDER BY e <=> '[1,1,1]') s;
SELECT e <=> '[1,1,1]' IS NULL AS is_null, (e <=> '[1,1,1]') = 'NaN' AS is_nan, id > 2 AS later
    FROM t ORDER BY e <=> '[1,1,1]' OFFSET 3;
SELECT id FROM t ORDER BY e <=> '[1,1,1]' LIMIT 3;
SELECT array_agg(e::text) FROM (SELECT e FROM t ORDER BY e <-> '[1,1,1]') s;
SELECT array_agg(e::text) FROM (SELECT e FROM t ORDER BY e <#> '[1,1,1]') s;
SELECT array_agg(e::text) FROM (SELECT e FROM t ORDER BY e <+> '[1,1,1]') s;
-- NULL and zero queries: all rows, every distance NULL or NaN
SELECT count(*), count(id), count(d) FROM
    (SELECT id, e <-> NULL AS d FROM t ORDER BY e <-> NULL) s;
SELECT count(*), count(id), count(d) FROM
    (SELECT id, e <=> NULL::vector AS d FROM t ORDER BY e <=> NULL::vector) s;
PREPARE by_distance(vector) AS SELECT id, e <=> $1 AS d FROM t ORDER BY e <=> $1;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE by_distance(NULL);
CREATE TABLE answer AS EXECUTE by_distance(NULL);
SELECT count(*), count(d), count(DISTINCT id) FROM answer;
DROP TABLE answer;
SELECT count(*), count(d), count(*) FILTER (WHERE d = 'NaN') AS nan FROM
    (SELECT e <=> '[0,0,0]' AS d FROM t ORDER BY e <=> '[0,0,0]') s;
SELECT count(*), count(d), min(d), max(d) FROM
    (SELECT e <#> '[0,0,0]' AS d FROM t ORDER BY e <#> '[0,0,0]') s;
-- they come and go as other rows
SELECT rows, null_rows, zero_rows FROM hnsw_stats('t_cosine');
DELETE FROM t WHERE id IN (1, 2);
VACUUM t;
SELECT rows, null_rows, zero_rows FROM hnsw_stats('t_cosine');
SELECT rows, null_rows, zero_rows FROM hnsw_stats('t_l2');
SELECT id FROM t WHERE id IN (6, 7) ORDER BY e <=> '[1,1,1]';
UPDATE t SET e = '[3,3,4]' WHERE id = 6;
UPDATE t SET e = NULL WHERE id = 7;
SELECT id FROM t ORDER BY e <=> '[3,3,4]';
SELECT i.relname, c.* FROM pg_class i, hnsw_check(i.oid) c
    WHERE i.relname ~ '^t_' AND severity = 'error';
DROP TABLE t;
