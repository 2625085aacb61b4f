-- Ordered scans: order, rescans, filters, projections, dead rows.
CREATE TABLE t (id int PRIMARY KEY, grp int, e vector(3));
INSERT INTO t
    SELECT i, i % 10, ARRAY[(i % 100), (i / 100), (i * 37 % 101) / 10.0]::float4[]::vector
    FROM generate_series(1, 2000) i;
CREATE INDEX t_idx ON t USING hnsw (e vector_l2_ops);
SET enable_seqscan = off;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY e <-> '[50,10,5]' LIMIT 3;
SELECT id, e, round((e <-> '[50,10,5]')::numeric, 4) AS d
    FROM t ORDER BY e <-> '[50,10,5]' LIMIT 3;
-- the operator's sides may be swapped
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY '[50,10,5]' <-> e LIMIT 3;
SELECT id FROM t ORDER BY '[50,10,5]' <-> e LIMIT 3;
-- all rows, in order, none twice
CREATE FUNCTION in_order(query vector) RETURNS TABLE (n bigint, ids bigint, misplaced bigint)
LANGUAGE sql AS $$
    SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE d < lag)
    FROM (SELECT id, d, lag(d) OVER (ORDER BY nr)
          FROM (SELECT id, d, row_number() OVER () AS nr
                FROM (SELECT id, e <-> query AS d FROM t ORDER BY e <-> query OFFSET 0) a) b) c $$;
SELECT n, ids FROM in_order('[50,10,5]');
SELECT n, ids FROM in_order('[-1000,0,1e6]');
SET hnsw.ef_search = 1;
SELECT n, ids FROM in_order('[50,10,5]');
SET hnsw.ef_search = 2000;
SELECT * FROM in_order('[50,10,5]');
RESET hnsw.ef_search;
-- filters see rows in order and never run dry
SELECT count(*) FROM (SELECT id FROM t WHERE grp = 3 ORDER BY e <-> '[50,10,5]' LIMIT 150) s;
SELECT count(*) FROM (SELECT id FROM t WHERE grp = 3 ORDER BY e <-> '[50,10,5]') s;
SELECT id FROM t WHERE grp = 3 ORDER BY e <-> '[50,10,5]' LIMIT 1;
SELECT id FROM t WHERE grp = 11 ORDER BY e <-> '[50,10,5]' LIMIT 1;
SELECT id FROM t WHERE e <-> '[50,10,5]' < 2 ORDER BY e <-> '[50,10,5]';
SELECT id FROM t ORDER BY e <-> '[50,10,5]' LIMIT 0;
SELECT id FROM t ORDER BY e <-> '[50,10,5]' LIMIT 2 OFFSET 1;
-- a further sort key: rows of equal distance
SET enable_sort = on;
SELECT id FROM t ORDER BY e <-> '[50,10,5]', id LIMIT 3;
SET enable_sort = off;
-- query vector from a sub-select, a function, a join
SELECT id FROM t ORDER BY e <-> (SELECT e FROM t WHERE id = 77) LIMIT 1;
SELECT id FROM t ORDER BY e <-> l2_normalize('[50,10,5]') LIMIT 1;
-- extreme queries
SELECT count(*) FROM (SELECT id FROM t ORDER BY e <-> '[1e30,-1e30,1e30]' LIMIT 10) s;
SELECT count(*) FROM (SELECT id FROM t ORDER BY e <-> '[1e-40,0,0]' LIMIT 10) s;
-- dead rows: deleted, updated, rolled back
DELETE FROM t WHERE id % 2 = 0;
SELECT bool_and(id % 2 = 1), count(*) FROM (SELECT id FROM t ORDER BY e <-> '[50,10,5]' LIMIT 100) s;
SELECT count(*) FROM (SELECT id FROM t ORDER BY e <-> '[50,10,5]') s;
BEGIN;
UPDATE t SET e = '[50,10,5]' WHERE id = 1;
SELECT id FROM t ORDER BY e <-> '[50,10,5]' LIMIT 1;
ROLLBACK;
SELECT id = 1 AS still_there FROM t ORDER BY e <-> '[50,10,5]' LIMIT 1;
UPDATE t SET e = '[50,10,5]' WHERE id = 1;
SELECT id FROM t ORDER BY e <-> '[50,10,5]' LIMIT 1;
-- an update of another column
UPDATE t SET grp = 99 WHERE id = 1;
SELECT id, grp FROM t ORDER BY e <-> '[50,10,5]' LIMIT 1;
SELECT count(*) FROM (SELECT id FROM t ORDER BY e <-> '[50,10,5]') s;
SELECT * FROM hnsw_check('t_idx') WHERE severity = 'error';
-- an insert sees itself within its transaction, a subtransaction's goes with it
BEGIN;
INSERT INTO t VALUES (3001, 0, '[7,7,7.5]');
SAVEPOINT s;
INSERT INTO t VALUES (3002, 0, '[7,7,7.5]');
SELECT id FROM t WHERE id > 3000 ORDER BY e <-> '[7,7,7.5]' LIMIT 2;
ROLLBACK TO s;
SELECT id FROM t WHERE id > 3000 ORDER BY e <-> '[7,7,7.5]' LIMIT 2;
COMMIT;
SELECT id FROM t ORDER BY e <-> '[7,7,7.5]' LIMIT 1;
-- an error in the middle of a statement leaves the index usable
CREATE FUNCTION fail_at_5(i int) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN IF i = 5 THEN RAISE 'five'; END IF; RETURN i; END $$;
INSERT INTO t SELECT fail_at_5(i) + 4000, 0, ARRAY[i, i, i]::vector FROM generate_series(1, 10) i;
SELECT count(*) FROM (SELECT id FROM t WHERE id > 4000 ORDER BY e <-> '[7,7,7.5]') s;
SELECT * FROM hnsw_check('t_idx') WHERE severity = 'error';
DROP TABLE t;
DROP FUNCTION in_order, fail_at_5;

-- What a scan needs stays for the session's next one, unless the index is another by then.
CREATE TABLE again (id int, e vector(3));
INSERT INTO again SELECT n, ARRAY[n, 0, 0]::vector FROM generate_series(1, 300) n;
CREATE INDEX again_e ON again USING hnsw (e vector_l2_ops);
SET enable_seqscan = off;
SET enable_sort = off;
CREATE FUNCTION nearest(x float8) RETURNS int[] LANGUAGE plpgsql AS $$
BEGIN
    RETURN ARRAY(SELECT id FROM again ORDER BY e <-> ARRAY[x, 0, 0]::vector LIMIT 3);
END $$;
SELECT nearest(10.2), nearest(250.6);
INSERT INTO again VALUES (1000, '[10,0,0.1]');
SELECT nearest(10.2);
REINDEX INDEX again_e;
SELECT nearest(10.2);
DELETE FROM again WHERE id = 10;
VACUUM again;
SELECT nearest(10.2);
TRUNCATE again;
SELECT nearest(10.2);
INSERT INTO again SELECT n, ARRAY[-n, 1, 0]::vector FROM generate_series(1, 300) n;
SELECT nearest(-10.2);
DROP INDEX again_e;
CREATE INDEX again_e ON again USING hnsw (e vector_l2_ops) WITH (m = 4);
SELECT nearest(-10.2);
-- An error in the middle of a scan, at the top and in a subtransaction.
SELECT 1 / (id - 12) AS x FROM again ORDER BY e <-> '[-10,1,0]' LIMIT 9;
SELECT nearest(-10.2);
BEGIN;
SAVEPOINT s;
SELECT 1 / (id - 12) AS x FROM again ORDER BY e <-> '[-10,1,0]' LIMIT 9;
ROLLBACK TO s;
SELECT nearest(-10.2);
-- Several scans at once; one is gone before the other.
DECLARE a CURSOR FOR SELECT id FROM again ORDER BY e <-> '[-100.2,1,0]';
FETCH 2 FROM a;
SAVEPOINT s;
DECLARE b CURSOR FOR SELECT id FROM again ORDER BY e <-> '[-200.2,1,0]';
FETCH 2 FROM b;
SELECT nearest(-10.2);
FETCH 2 FROM a;
ROLLBACK TO s;
SELECT nearest(-20.2);
FETCH 2 FROM a;
CLOSE a;
SELECT nearest(-30.2);
SELECT o.id, i.id AS other FROM again o,
    LATERAL (SELECT id FROM again WHERE id <> o.id ORDER BY e <-> o.e, id LIMIT 1) i
WHERE o.id IN (1, 300) ORDER BY o.e <-> '[0,1,0]', o.id;
COMMIT;
SELECT nearest(-40.2);
RESET enable_sort;
RESET enable_seqscan;
DROP FUNCTION nearest;
DROP TABLE again;
