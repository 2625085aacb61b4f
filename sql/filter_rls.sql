-- Filtered scans: row-level security, locks, memory, rescans.
CREATE TABLE secret (id int PRIMARY KEY, owner text, kind int, e vector(3));
INSERT INTO secret
    SELECT i, CASE WHEN i % 5 = 0 THEN 'alice' ELSE 'bob' END, i % 10,
        ARRAY[sin(i * 7.13), cos(i * 3.71), sin(i * 0.37)]::float4[]::vector
    FROM generate_series(1, 3000) i;
CREATE INDEX secret_e ON secret USING hnsw (e vector_l2_ops);
CREATE INDEX secret_kind ON secret (kind);
CREATE INDEX secret_owner ON secret (owner);
VACUUM ANALYZE secret;
CREATE ROLE regress_hnsw_alice;
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secret USING (owner = 'alice');
GRANT SELECT, UPDATE ON secret TO regress_hnsw_alice;
-- cheaper than the policy, and it tells what it sees
CREATE FUNCTION leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
    IF $1 <> 'alice' THEN RAISE EXCEPTION 'leaked a row of %', $1; END IF;
    RETURN true;
END $$;
-- a distance that does so too
CREATE FUNCTION leaky_kind(int, text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
    IF $2 <> 'alice' THEN RAISE EXCEPTION 'leaked a kind of %', $2; END IF;
    RETURN $1 = 5;
END $$;
SET ROLE regress_hnsw_alice;
SET enable_sort = off;
SET hnsw.ef_search = 400;
EXPLAIN (COSTS OFF) SELECT id, owner FROM secret WHERE leak(owner) ORDER BY e <-> '[0.3,0.2,0.1]' LIMIT 5;
SELECT id, owner FROM secret WHERE leak(owner) ORDER BY e <-> '[0.3,0.2,0.1]' LIMIT 5;
CREATE TEMP TABLE seen (strategy text, ids int[]);
DO $$
DECLARE s text;
BEGIN
    FOREACH s IN ARRAY '{auto,exact,filter_first,penalised,pre_filter,post_filter}'::text[] LOOP
        PERFORM set_config('hnsw.filter_strategy', s, true);
        INSERT INTO seen SELECT s, array_agg(id) FROM (SELECT id FROM secret
            WHERE leak(owner) AND leaky_kind(kind, owner) AND e <-> '[0.3,0.2,0.1]' < 0.9
            ORDER BY e <-> '[0.3,0.2,0.1]' LIMIT 20) t;
    END LOOP;
END $$;
RESET enable_sort;
SET enable_indexscan = off;
SELECT count(*), bool_and(ids = (SELECT array_agg(id) FROM (SELECT id FROM secret
    WHERE leak(owner) AND leaky_kind(kind, owner) AND e <-> '[0.3,0.2,0.1]' < 0.9
    ORDER BY e <-> '[0.3,0.2,0.1]' LIMIT 20) t)) AS same FROM seen;
RESET enable_indexscan;
RESET ROLE;
-- a policy with a distance in it: the user's functions see only what lies within it
DROP POLICY own ON secret;
CREATE POLICY near ON secret USING (e <-> '[0.3,0.2,0.1]' < 0.5);
CREATE FUNCTION leak_far(vector) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
    IF $1 <-> '[0.3,0.2,0.1]' >= 0.5 THEN RAISE EXCEPTION 'leaked %', $1; END IF;
    RETURN true;
END $$;
SET ROLE regress_hnsw_alice;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT id FROM secret WHERE leak_far(e) ORDER BY e <-> '[0.3,0.2,0.1]' LIMIT 5;
SELECT count(*) FROM (SELECT id FROM secret WHERE leak_far(e) ORDER BY e <-> '[0.3,0.2,0.1]' OFFSET 0) s;
SET enable_sort = on;
SET enable_indexscan = off;
SELECT count(*) FROM (SELECT id FROM secret WHERE leak_far(e) ORDER BY e <-> '[0.3,0.2,0.1]' OFFSET 0) s;
RESET ROLE;
RESET enable_indexscan;
RESET hnsw.ef_search;
ALTER TABLE secret DISABLE ROW LEVEL SECURITY;

-- rows are locked and named by this scan on every minor release
SET enable_sort = off;
BEGIN;
EXPLAIN (COSTS OFF) SELECT id FROM secret WHERE kind = 3 ORDER BY e <-> '[0.3,0.2,0.1]' LIMIT 5 FOR UPDATE SKIP LOCKED;
SELECT id FROM secret WHERE kind = 3 ORDER BY e <-> '[0.3,0.2,0.1]' LIMIT 5 FOR UPDATE SKIP LOCKED;
SELECT count(*), bool_and(s.id = t.id) AS same FROM
    (SELECT id, ctid FROM secret WHERE kind = 3 ORDER BY e <-> '[0.3,0.2,0.1]' LIMIT 5) s JOIN secret t ON t.ctid = s.ctid;
UPDATE secret SET kind = 30 WHERE ctid = ANY (ARRAY(SELECT ctid FROM secret WHERE kind = 3 ORDER BY e <-> '[0.3,0.2,0.1]' LIMIT 5));
SELECT count(*) FROM secret WHERE kind = 30;
ROLLBACK;
DO $$
DECLARE s text; n int;
BEGIN
    FOREACH s IN ARRAY '{exact,filter_first,post_filter}'::text[] LOOP
        PERFORM set_config('hnsw.filter_strategy', s, true);
        SELECT count(*) INTO n FROM (SELECT id FROM secret WHERE kind = 3 ORDER BY e <-> '[0.3,0.2,0.1]' LIMIT 5 FOR UPDATE) t;
        RAISE NOTICE '%: % rows locked', s, n;
    END LOOP;
END $$;
RESET enable_sort;

-- memory does not grow from rescan to rescan, whether the bitmap stays or not
CREATE FUNCTION scan_memory() RETURNS bigint LANGUAGE sql AS
    $$ SELECT coalesce(sum(total_bytes), 0)::bigint FROM pg_backend_memory_contexts
       WHERE name LIKE 'hnsw%' OR name LIKE 'TIDBitmap%' OR name LIKE 'ExecutorState%' $$;
CREATE TEMP TABLE memory (i int, bytes bigint);
BEGIN;
SET LOCAL enable_sort = off;
DECLARE c CURSOR FOR
    SELECT a.i, n.id FROM generate_series(1, 3000) a(i),
        LATERAL (SELECT id FROM secret b WHERE kind = a.i % 10 AND id % 2 = a.i % 2
                 ORDER BY b.e <-> ARRAY[a.i % 50, a.i % 40, 0]::vector LIMIT 1) n;
MOVE FORWARD 500 IN c;
INSERT INTO memory SELECT 1, scan_memory();
MOVE FORWARD 2400 IN c;
INSERT INTO memory SELECT 2, scan_memory();
CLOSE c;
DECLARE c CURSOR FOR
    SELECT a.i, n.id FROM generate_series(1, 3000) a(i),
        LATERAL (SELECT id FROM secret b WHERE kind IN (3, 4) ORDER BY b.e <-> ARRAY[a.i % 50, a.i % 40, 0]::vector LIMIT 1) n;
MOVE FORWARD 500 IN c;
INSERT INTO memory SELECT 3, scan_memory();
MOVE FORWARD 2400 IN c;
INSERT INTO memory SELECT 4, scan_memory();
CLOSE c;
INSERT INTO memory SELECT 5, scan_memory();
COMMIT;
SELECT a.bytes > 0 AS held, b.bytes <= a.bytes * 1.1 AS steady, c.bytes > 0 AS held_same, d.bytes <= c.bytes * 1.1 AS steady_same,
    e.bytes < a.bytes AS released
    FROM memory a, memory b, memory c, memory d, memory e WHERE (a.i, b.i, c.i, d.i, e.i) = (1, 2, 3, 4, 5);
DROP TABLE secret, seen, memory;
DROP FUNCTION scan_memory, leak, leaky_kind, leak_far;
DROP ROLE regress_hnsw_alice;
