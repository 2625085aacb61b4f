-- Conditions on columns of the index that few rows meet: a session that asks again takes the rows from where it
-- knows them to be, without reading the index.
CREATE TABLE k (id int PRIMARY KEY, kind int, tag text, note int, e vector(4)) WITH (fillfactor = 50);
INSERT INTO k SELECT i, i / 20, 'tag ' || i % 50, 0, ARRAY[sin(i), cos(i * 1.7), sin(i * 2.3), i % 97 / 97.0]::float4[]::vector
    FROM generate_series(0, 1999) i;
CREATE INDEX k_e ON k USING hnsw (e vector_l2_ops, kind, tag) WITH (m = 8, ef_construction = 32);
VACUUM ANALYZE k;
SET enable_seqscan = off;

CREATE FUNCTION top(filter text, rest text = 'LIMIT 5') RETURNS text LANGUAGE sql AS $$
    SELECT 'SELECT id, e <-> ''[0.1,0.2,0.3,0.4]'' AS d FROM k WHERE ' || filter || ' ORDER BY e <-> ''[0.1,0.2,0.3,0.4]'' ' || rest $$;
-- Whether a query gives what it gives without indexes, and how many rows.
CREATE FUNCTION same(query text, OUT good boolean, OUT n int) LANGUAGE plpgsql AS $$
DECLARE truth text; got text;
    ask text := 'SELECT string_agg(round(d::numeric, 4)::text, '','') || string_agg(id::text, '','' ORDER BY d, id) FROM (' || query || ') s';
BEGIN
    PERFORM set_config('enable_indexscan', 'off', true);
    PERFORM set_config('enable_seqscan', 'on', true);
    EXECUTE ask INTO truth;
    PERFORM set_config('enable_seqscan', 'off', true);
    PERFORM set_config('enable_indexscan', 'on', true);
    EXECUTE ask INTO got;
    good := got IS NOT DISTINCT FROM truth;
    EXECUTE 'SELECT count(*) FROM (' || query || ') s' INTO n;
END $$;
-- What the custom scan of a query says of itself, asked several times: whatever writes to the WAL meanwhile, and be
-- it the server by itself, makes the session look again.
CREATE FUNCTION run(query text, OUT strategy text, OUT known boolean, OUT most int) LANGUAGE plpgsql AS $$
DECLARE node jsonb; plan json; fetched int;
BEGIN
    known := false;
    FOR i IN 1..6 LOOP
        EXECUTE 'EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ' || query INTO plan;
        node := plan::jsonb -> 0 -> 'Plan';
        WHILE node ->> 'Node Type' <> 'Custom Scan' LOOP
            node := node -> 'Plans' -> 0;
        END LOOP;
        strategy := node ->> 'Strategy';
        known := known OR (node ->> 'Records Read')::int = 0;
        fetched := node ->> 'Rows Fetched';
        most := greatest(most, fetched);
    END LOOP;
END $$;

-- few rows are all fetched once they are known
SELECT * FROM run(top('kind = 7'));
SELECT * FROM same(top('kind = 7'));
SELECT * FROM run(top('kind = 7 AND note = 0'));
SELECT * FROM same(top('kind = 7 AND note = 0'));
SELECT * FROM run(top('tag = ''tag 7'' AND kind BETWEEN 10 AND 20'));
SELECT * FROM same(top('tag = ''tag 7'' AND kind BETWEEN 10 AND 20'));
-- none; conditions that contradict each other
SELECT * FROM run(top('kind = 5000'));
SELECT * FROM same(top('kind = 5000'));
SELECT * FROM same(top('kind = 7 AND kind = 8'));
-- an exact search by order; not where many match; all of them where all are wanted
SET hnsw.filter_strategy = exact;
SELECT strategy, known FROM run(top('kind = 7'));
SELECT strategy, known FROM run(top('kind < 40'));
RESET hnsw.filter_strategy;
SELECT known FROM run(top('kind < 40'));
SELECT strategy, known, most FROM run(top('kind < 40', ''));
SELECT * FROM same(top('kind < 40', ''));
-- within a distance; behind others
SELECT strategy, known FROM run(top('kind = 7 AND e <-> ''[0.1,0.2,0.3,0.4]'' < 1'));
SELECT * FROM same(top('kind = 7 AND e <-> ''[0.1,0.2,0.3,0.4]'' < 1'));
SELECT * FROM same(top('kind = 7 AND e <-> ''[0.1,0.2,0.3,0.4]'' < 1', ''));
SELECT * FROM same(top('kind = 7', 'OFFSET 18 LIMIT 5'));

-- what is written is seen: rows that come, go, change their place, or an indexed column
UPDATE k SET note = 1 WHERE id % 3 = 0;
SELECT known FROM run(top('kind = 7'));
SELECT * FROM same(top('kind = 7'));
SELECT * FROM same(top('kind = 7 AND note = 1', 'LIMIT 20'));
BEGIN;
INSERT INTO k SELECT 5000 + id, 7, 'new', 0, e + '[0.001,0,0,0]' FROM k WHERE kind = 8;
SELECT known, most FROM run(top('kind = 7'));
SELECT * FROM same(top('kind = 7', 'LIMIT 50'));
DELETE FROM k WHERE kind = 7 AND id % 2 = 0;
SELECT known FROM run(top('kind = 7'));
SELECT * FROM same(top('kind = 7', 'LIMIT 50'));
UPDATE k SET kind = 9 WHERE kind = 7;
SELECT known FROM run(top('kind = 9'));
SELECT * FROM same(top('kind = 9', 'LIMIT 50'));
SELECT * FROM same(top('kind = 7', 'LIMIT 50'));
ROLLBACK;
SELECT known FROM run(top('kind = 7'));
SELECT * FROM same(top('kind = 7', 'LIMIT 50'));
DELETE FROM k WHERE kind = 7 AND id % 2 = 0;
VACUUM k;
SELECT known, most FROM run(top('kind = 7'));
SELECT * FROM same(top('kind = 7', 'LIMIT 50'));

-- loops with a condition for each round, and the same one again
SELECT l.i, array_agg(n.id ORDER BY n.d) FROM unnest('{3,3,4,3,3}'::int[]) WITH ORDINALITY l(i, o),
    LATERAL (SELECT id, e <-> '[0.1,0.2,0.3,0.4]' AS d FROM k WHERE kind = l.i ORDER BY e <-> '[0.1,0.2,0.3,0.4]' LIMIT 3) n GROUP BY l.o, l.i ORDER BY l.o;
-- a qual that searches the same index with other conditions while the rows are gone through
CREATE FUNCTION others(kind int) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT count(*) FROM (SELECT FROM k WHERE k.kind = others.kind ORDER BY e <-> '[0.1,0.2,0.3,0.4]' LIMIT 5) s);
END $$;
SELECT * FROM same(top('kind = 3 AND others(id % 5) = 5'));
SELECT * FROM same(top('kind = 3 AND others(id % 5) = 5'));

-- rows of equal vectors share a node, whose chunks have them; rows without a vector have none, and are not known
INSERT INTO k SELECT 6000 + id, kind, 'twin', 0, e FROM k WHERE id = 70;
INSERT INTO k SELECT 6100 + i, 4 + i % 2, 'twin', 0, e FROM k, generate_series(1, 20) i WHERE id = 85;
SELECT known, most FROM run(top('kind = 4'));
SELECT * FROM same(top('kind = 4', 'LIMIT 50'));
DELETE FROM k WHERE id >= 6000;
VACUUM k;
SELECT known FROM run(top('kind = 4'));
INSERT INTO k VALUES (7000, 4, 'none', 0, NULL);
SELECT known FROM run(top('kind = 4'));
SELECT * FROM same(top('kind = 4', 'LIMIT 50'));
DROP TABLE k;
DROP FUNCTION top, same, run, others;
