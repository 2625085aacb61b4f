-- Cursors and prepared statements.
CREATE TABLE t (id int, e vector(2));
INSERT INTO t SELECT i, ARRAY[i, 1]::vector FROM generate_series(1, 300) i;
CREATE INDEX t_idx ON t USING hnsw (e vector_l2_ops);
SET enable_seqscan = off;
SET enable_sort = off;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM t ORDER BY e <-> '[10.1,1]';
FETCH 3 FROM c;
INSERT INTO t VALUES (1000, '[10.2,1]');
DELETE FROM t WHERE id = 12;
FETCH 4 FROM c;
SAVEPOINT a;
FETCH 2 FROM c;
ROLLBACK TO a;
FETCH 2 FROM c;
MOVE FORWARD ALL FROM c;
COMMIT;
-- scrollable: the executor keeps the rows
BEGIN;
DECLARE s SCROLL CURSOR FOR SELECT id FROM t ORDER BY e <-> '[10.3,1]';
FETCH 3 FROM s;
FETCH BACKWARD 2 FROM s;
FETCH LAST FROM s;
FETCH FIRST FROM s;
COMMIT;
-- held over the end of the transaction
BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT id FROM t ORDER BY e <-> '[10.1,1]' LIMIT 5;
FETCH 1 FROM h;
COMMIT;
DELETE FROM t WHERE id < 20;
FETCH ALL FROM h;
CLOSE h;
-- two at once
BEGIN;
DECLARE a CURSOR FOR SELECT id FROM t ORDER BY e <-> '[100.1,1]';
DECLARE b CURSOR FOR SELECT id FROM t ORDER BY e <-> '[200.1,1]';
FETCH 2 FROM a;
FETCH 2 FROM b;
FETCH 2 FROM a;
FETCH 2 FROM b;
COMMIT;
-- prepared, custom and generic plans
PREPARE q(vector, int) AS SELECT id FROM t ORDER BY e <-> $1 LIMIT $2;
EXECUTE q('[50.1,1]', 2);
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE q('[50.1,1]', 2);
EXECUTE q('[50.1,1]', 2);
EXECUTE q('[150.1,1]', 3);
EXECUTE q(NULL, 0);
SELECT count(*) FROM (SELECT 1 FROM t) s;
CREATE TABLE answer AS EXECUTE q(NULL, NULL);
SELECT count(*) FROM answer;
EXECUTE q('[1,2,3]', 1);
-- the plan survives a change of the index
REINDEX INDEX t_idx;
EXECUTE q('[150.1,1]', 3);
SET hnsw.ef_search = 3;
EXECUTE q('[150.1,1]', 5);
-- PL/pgSQL
DO $$
DECLARE r record; n int := 0;
BEGIN
    FOR r IN SELECT id FROM t ORDER BY e <-> '[60.1,1]' LOOP
        n := n + 1;
        IF n = 1 THEN RAISE NOTICE 'nearest %', r.id; END IF;
        EXIT WHEN n = 100;
    END LOOP;
    RAISE NOTICE '% rows', n;
END $$;
-- modifying statements over the index (locking ones: test/t/015_row_locks.pl)
WITH nearest AS (SELECT id FROM t ORDER BY e <-> '[60.1,1]' LIMIT 2)
    DELETE FROM t USING nearest WHERE t.id = nearest.id RETURNING t.id;
SELECT id FROM t ORDER BY e <-> '[60.1,1]' LIMIT 2;
DROP TABLE t, answer;
