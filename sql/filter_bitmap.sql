-- Rows that other indexes find for a filtered scan: one by one from a B-tree or hash index, through a bitmap
-- from anything else; made again when a parameter changes, kept when none does.
CREATE TABLE b (id int PRIMARY KEY, mid int, label text, tags int[], e vector(3));
INSERT INTO b
    SELECT i, i % 40, 'l' || i % 25, ARRAY[i % 7, i % 11], ARRAY[sin(i * 7.13), cos(i * 3.71), sin(i * 0.37)]::float4[]::vector
    FROM generate_series(1, 6000) i;
CREATE INDEX b_e ON b USING hnsw (e vector_l2_ops);
CREATE INDEX b_mid ON b (mid);
CREATE INDEX b_label ON b USING hash (label);
CREATE INDEX b_tags ON b USING gin (tags);
CREATE INDEX b_id ON b USING brin (id) WITH (pages_per_range = 4);
VACUUM ANALYZE b;
SET enable_seqscan = off;
SET enable_sort = off;

-- What the custom scan and the index below it say of themselves, and whether the rows are the right ones.
CREATE FUNCTION run(filter text, strategy text, OUT kind text, OUT "rows" int, OUT bitmap int, OUT same boolean)
LANGUAGE plpgsql AS $$
DECLARE
    plan json; node jsonb; got text; truth text;
    query text := 'SELECT id, e <-> ''[0.3,0.2,0.1]'' AS d FROM b WHERE ' || filter || ' ORDER BY e <-> ''[0.3,0.2,0.1]'' LIMIT 10';
    ask text := 'SELECT string_agg(d::text, '','') FROM (' || query || ') s';
BEGIN
    PERFORM set_config('hnsw.filter_strategy', strategy, true);
    EXECUTE 'EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ' || query INTO plan;
    node := plan::jsonb -> 0 -> 'Plan' -> 'Plans' -> 0;
    bitmap := node ->> 'Bitmap Matches';
    kind := node -> 'Plans' -> 0 ->> 'Node Type';
    "rows" := (node -> 'Plans' -> 0 ->> 'Actual Rows')::numeric;
    EXECUTE ask INTO got;
    PERFORM set_config('enable_indexscan', 'off', true);
    PERFORM set_config('enable_sort', 'on', true);
    EXECUTE ask INTO truth;
    PERFORM set_config('enable_indexscan', 'on', true);
    PERFORM set_config('enable_sort', 'off', true);
    same := got IS NOT DISTINCT FROM truth;
END $$;

SELECT filter, strategy, r.* FROM unnest(ARRAY['mid = 5', 'mid < 9', 'mid IN (3, 8, 3)', 'label = ''l7''',
    'label = ANY (''{l1,l9}'')', 'mid < 9 AND label = ''l7''', 'mid = 5 OR label = ''l7''', 'tags @> ''{3}''',
    'id BETWEEN 500 AND 900', 'mid = 77']) filter, unnest(ARRAY['exact', 'pre_filter']) strategy, run(filter, strategy) r;

-- a parameter of a join, and one that stays the same
SET hnsw.filter_strategy = exact;
SELECT count(*), count(DISTINCT n.id), bool_and(n.mid = p.m) FROM generate_series(0, 39) p(m)
    CROSS JOIN LATERAL (SELECT id, mid FROM b WHERE mid = p.m ORDER BY e <-> '[0.3,0.2,0.1]' LIMIT 3) n;
SELECT count(*), bool_and(n.label = 'l7') FROM generate_series(0, 9) p(i)
    CROSS JOIN LATERAL (SELECT label FROM b WHERE label = 'l7' ORDER BY e <-> ARRAY[p.i, 0, 0]::vector LIMIT 3) n;
-- NULL finds nothing
SELECT p.m, n.mid FROM unnest(ARRAY[7, NULL, 8]) p(m)
    LEFT JOIN LATERAL (SELECT mid FROM b WHERE mid = p.m ORDER BY e <-> '[0.3,0.2,0.1]' LIMIT 1) n ON true;
SET plan_cache_mode = force_generic_plan;
PREPARE by_mid(int, vector) AS SELECT mid, count(*) OVER () FROM (SELECT mid FROM b WHERE mid = $1 ORDER BY e <-> $2 LIMIT 5) s LIMIT 1;
EXECUTE by_mid(5, '[1,2,3]');
EXECUTE by_mid(77, '[1,2,3]');
EXECUTE by_mid(NULL, '[1,2,3]');
EXECUTE by_mid(6, '[1,2,3]');

-- rows deleted, updated and inserted since the index was built; a cursor sees none of what comes after
BEGIN;
DELETE FROM b WHERE mid = 5 AND id % 3 = 0;
UPDATE b SET mid = 5 WHERE mid = 6;
INSERT INTO b SELECT i, 5, 'new', '{}', '[0.3,0.2,0.1]' FROM generate_series(7001, 7005) i;
SELECT kind, same FROM run('mid = 5', 'exact');
DECLARE five CURSOR FOR SELECT id FROM b WHERE mid = 5 ORDER BY e <-> '[0.3,0.2,0.1]', id LIMIT 5;
DELETE FROM b WHERE id > 7000;
INSERT INTO b SELECT i, 5, 'newer', '{}', '[0.3,0.2,0.1]' FROM generate_series(8001, 8005) i;
FETCH ALL FROM five;
COMMIT;
SELECT kind, same FROM run('mid = 5', 'exact');
DROP TABLE b;
DROP FUNCTION run;
