-- Patterns of filtered queries that clients send: each planned well, each with the rows of exact search.
CREATE TABLE items (id int PRIMARY KEY, tenant int, price float8, metadata jsonb, e vector(3));
INSERT INTO items
    SELECT i, i % 50, i % 1000, jsonb_build_object('k', (i % 4)::text, 'lang', CASE WHEN i % 10 = 0 THEN 'de' ELSE 'en' END),
        ARRAY[sin(i * 7.13), cos(i * 3.71), sin(i * 0.37)]::float4[]::vector
    FROM generate_series(1, 5000) i;
CREATE INDEX items_e ON items USING hnsw (e vector_cosine_ops);
CREATE INDEX items_tenant ON items (tenant);
CREATE INDEX items_metadata ON items USING gin (metadata jsonb_path_ops);
CREATE TABLE queries (id int PRIMARY KEY, tenant int, e vector(3));
INSERT INTO queries SELECT i, i * 7 % 50, ARRAY[cos(i * 1.3), sin(i * 2.1), 0.5]::float4[]::vector FROM generate_series(1, 40) i;
VACUUM ANALYZE items, queries;
SET hnsw.ef_search = 200;

-- Runs a query with the index and without; true: the same rows in the same order.
CREATE FUNCTION same(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE truth text; got text;
BEGIN
    PERFORM set_config('enable_indexscan', 'off', true);
    EXECUTE 'SELECT string_agg(s::text, '';'') FROM (' || query || ') s' INTO truth;
    PERFORM set_config('enable_indexscan', 'on', true);
    PERFORM set_config('enable_seqscan', 'off', true);
    PERFORM set_config('enable_sort', 'off', true);
    EXECUTE 'SELECT string_agg(s::text, '';'') FROM (' || query || ') s' INTO got;
    PERFORM set_config('enable_seqscan', 'on', true);
    PERFORM set_config('enable_sort', 'on', true);
    RETURN got = truth;
END $$;

-- LATERAL: the nearest rows of the same tenant, for every row of another table
EXPLAIN (COSTS OFF) SELECT q.id, n.id FROM queries q, LATERAL
    (SELECT i.id FROM items i WHERE i.tenant = q.tenant ORDER BY i.e <=> q.e LIMIT 3) n;
SELECT same('SELECT q.id, n.id FROM queries q, LATERAL
    (SELECT i.id FROM items i WHERE i.tenant = q.tenant ORDER BY i.e <=> q.e LIMIT 3) n ORDER BY q.id, n.id');
-- a filter that stays while the query changes: one bitmap for all
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT q.id, n.id FROM queries q, LATERAL
    (SELECT i.id FROM items i WHERE i.tenant IN (3, 4) ORDER BY i.e <=> q.e LIMIT 3) n;
RESET enable_sort;
SELECT same('SELECT q.id, n.id FROM queries q, LATERAL
    (SELECT i.id FROM items i WHERE i.tenant IN (3, 4) ORDER BY i.e <=> q.e LIMIT 3) n ORDER BY q.id, n.id');
-- group-wise: the nearest two of every tenant
SELECT same('SELECT t.tenant, n.id FROM generate_series(0, 49) t(tenant), LATERAL
    (SELECT i.id FROM items i WHERE i.tenant = t.tenant ORDER BY i.e <=> ''[1,0.2,0.3]'' LIMIT 2) n ORDER BY 1, 2');

-- the query from a scalar sub-select
-- (versions print the parameter in different ways)
DO $$
DECLARE line text;
BEGIN
    FOR line IN EXPLAIN (COSTS OFF) SELECT id FROM items WHERE metadata @> '{"k": "1"}'
            ORDER BY e <=> (SELECT e FROM queries WHERE id = 7) LIMIT 5 LOOP
        IF line ~ 'Scan' THEN RAISE NOTICE '%', line; END IF;
    END LOOP;
END $$;
SELECT same('SELECT id FROM items WHERE metadata @> ''{"k": "1"}''
    ORDER BY e <=> (SELECT e FROM queries WHERE id = 7) LIMIT 5');

-- ORDER BY distance, id, and the next page
EXPLAIN (COSTS OFF) SELECT id FROM items WHERE metadata @> '{"k": "1"}' ORDER BY e <=> '[1,0.2,0.3]', id LIMIT 5;
SELECT same('SELECT id FROM items WHERE metadata @> ''{"k": "1"}'' ORDER BY e <=> ''[1,0.2,0.3]'', id LIMIT 5');
INSERT INTO items SELECT i, 1, 1, '{"k": "1"}', '[1,0.2,0.4]' FROM generate_series(6001, 6020) i;
SELECT same('SELECT id FROM items WHERE metadata @> ''{"k": "1"}'' ORDER BY e <=> ''[1,0.2,0.41]'', id LIMIT 5');
SELECT same('SELECT id FROM items WHERE metadata @> ''{"k": "1"}'' AND (e <=> ''[1,0.2,0.3]'', id) > (0.01, 100)
    ORDER BY e <=> ''[1,0.2,0.3]'', id LIMIT 5');
DELETE FROM items WHERE id > 6000;

-- OFFSET
SELECT same('SELECT id FROM items WHERE tenant < 10 ORDER BY e <=> ''[1,0.2,0.3]'' LIMIT 5 OFFSET 37');
SELECT same('SELECT id FROM items WHERE price < 500 ORDER BY e <=> ''[1,0.2,0.3]'' OFFSET 300 LIMIT 100');

-- no LIMIT: all of them
SELECT same('SELECT count(*), sum(id) FROM (SELECT id FROM items WHERE tenant < 10 ORDER BY e <=> ''[1,0.2,0.3]'' OFFSET 0) s');

-- filters of ORMs
EXPLAIN (COSTS OFF) SELECT id, e <=> '[1,0.2,0.3]' AS distance FROM items
    WHERE e <=> '[1,0.2,0.3]' < 0.2 AND metadata::jsonb @@ '$.k == "1"'::jsonpath ORDER BY distance LIMIT 4;
SELECT filter, same('SELECT id FROM items WHERE ' || filter || ' ORDER BY e <=> ''[1,0.2,0.3]'' LIMIT 4') FROM unnest(ARRAY[
    'metadata->>''k'' = ''1''', 'metadata @> ''{"k": "2", "lang": "de"}''', 'metadata @@ ''$.k == "1"''',
    'metadata->>''lang'' IN (''de'', ''en'')', 'tenant IN (1, 2)', 'tenant = ANY (ARRAY[1, 2, 3])',
    '(metadata->>''k'')::int > 1', 'e <=> ''[1,0.2,0.3]'' < 0.2 AND metadata @@ ''$.k == "1"''',
    'NOT metadata @> ''{"k": "1"}''', 'EXISTS (SELECT FROM queries q WHERE q.tenant = items.tenant AND q.id < 9)',
    'tenant IN (SELECT tenant FROM queries)', 'tenant NOT IN (SELECT tenant FROM queries)']) filter;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM items WHERE metadata @> '{"k": "2", "lang": "de"}' ORDER BY e <=> '[1,0.2,0.3]' LIMIT 4;
SELECT same('SELECT id FROM items WHERE metadata @> ''{"k": "2", "lang": "de"}'' ORDER BY e <=> ''[1,0.2,0.3]'' LIMIT 4');
RESET enable_bitmapscan;

-- a join above: the LIMIT is not the scan's
SELECT same('SELECT i.id, q.id FROM items i JOIN queries q ON q.tenant = i.tenant WHERE i.price < 500
    ORDER BY i.e <=> ''[1,0.2,0.3]'', i.id, q.id LIMIT 10');
-- nor are those of aggregates, DISTINCT and windows
SELECT same('SELECT count(*) FROM (SELECT DISTINCT tenant FROM items WHERE tenant < 30) s LIMIT 1');
SELECT same('SELECT id, rank() OVER (ORDER BY e <=> ''[1,0.2,0.3]'') FROM items WHERE tenant < 30 ORDER BY e <=> ''[1,0.2,0.3]'' LIMIT 5');

-- prepared statements, custom and generic
PREPARE near(vector, bigint, int, bigint) AS
    SELECT id FROM items WHERE tenant < $3 ORDER BY e <=> $1 LIMIT $2 OFFSET $4;
SET plan_cache_mode = force_generic_plan;
SET enable_sort = off;
EXPLAIN (COSTS OFF) EXECUTE near('[1,0.2,0.3]', 5, 10, 2);
EXECUTE near('[1,0.2,0.3]', 5, 10, 2);
EXECUTE near('[1,0.2,0.3]', 3, 1, 0);
EXECUTE near('[0,1,0.3]', 2, 50, NULL);
SELECT count(*) FROM items WHERE tenant < 10;
EXECUTE near('[1,0.2,0.3]', NULL, 1, 95);
EXECUTE near('[1,0.2,0.3]', -1, 1, 0);
SET enable_indexscan = off;
RESET enable_sort;
EXECUTE near('[1,0.2,0.3]', 5, 10, 2);
EXECUTE near('[1,0.2,0.3]', 3, 1, 0);
EXECUTE near('[0,1,0.3]', 2, 50, NULL);
EXECUTE near('[1,0.2,0.3]', NULL, 1, 95);
RESET enable_indexscan;
RESET plan_cache_mode;
-- in a function, with its parameters
CREATE FUNCTION near(v vector, n int) RETURNS SETOF int LANGUAGE plpgsql AS $$
BEGIN RETURN QUERY SELECT id FROM items WHERE tenant < 10 ORDER BY e <=> v LIMIT n; END $$;
SELECT count(*) FROM generate_series(1, 20) i, near('[1,0.2,0.3]', i);

-- partitions: one ordered answer
CREATE TABLE p (id int, region int, kind int, e vector(3)) PARTITION BY LIST (region);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
INSERT INTO p SELECT i, 1 + i % 2, i % 10, ARRAY[sin(i * 7.13), cos(i * 3.71), sin(i * 0.37)]::float4[]::vector FROM generate_series(1, 4000) i;
CREATE INDEX ON p USING hnsw (e vector_l2_ops);
CREATE INDEX ON p (kind);
VACUUM ANALYZE p;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT id FROM p WHERE kind = 3 ORDER BY e <-> '[1,0.2,0.3]' LIMIT 5;
EXPLAIN (COSTS OFF) SELECT id FROM p WHERE kind = 3 ORDER BY e <-> '[1,0.2,0.3]', id LIMIT 5;
RESET enable_sort;
SELECT same('SELECT id FROM p WHERE kind = 3 ORDER BY e <-> ''[1,0.2,0.3]'' LIMIT 5');
SELECT same('SELECT id FROM p WHERE kind IN (3, 4) ORDER BY e <-> ''[1,0.2,0.3]'', id LIMIT 5');
SELECT same('SELECT id FROM p WHERE region = 2 AND kind = 3 ORDER BY e <-> ''[1,0.2,0.3]'' LIMIT 50 OFFSET 20');
SELECT same('SELECT id, tableoid::regclass FROM p WHERE kind = 3 ORDER BY e <-> ''[1,0.2,0.3]'' LIMIT 5');

-- cursors: further and further, and back
BEGIN;
SET LOCAL enable_sort = off;
DECLARE c SCROLL CURSOR FOR SELECT id FROM items WHERE tenant = 3 ORDER BY e <=> '[1,0.2,0.3]';
FETCH 3 FROM c;
DELETE FROM items WHERE tenant = 3;
FETCH 2 FROM c;
FETCH BACKWARD 2 FROM c;
MOVE FORWARD ALL IN c;
ROLLBACK;

-- partial and expression indexes, quals they imply
CREATE TABLE partial (id int, kind int, deleted bool, e vector);
INSERT INTO partial SELECT i, i % 10, i % 3 = 0, ARRAY[sin(i * 7.13), cos(i * 3.71), sin(i * 0.37)]::float4[]::vector FROM generate_series(1, 3000) i;
CREATE INDEX ON partial USING hnsw ((e::vector(3)) vector_l2_ops) WHERE NOT deleted;
CREATE INDEX ON partial (kind);
ANALYZE partial;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT id FROM partial WHERE kind = 3 AND NOT deleted ORDER BY e::vector(3) <-> '[1,0.2,0.3]' LIMIT 5;
RESET enable_sort;
SELECT same('SELECT id FROM partial WHERE kind = 3 AND NOT deleted ORDER BY e::vector(3) <-> ''[1,0.2,0.3]'' LIMIT 5');
SET hnsw.filter_strategy = exact;
SELECT same('SELECT id FROM partial WHERE kind = 3 AND NOT deleted ORDER BY e::vector(3) <-> ''[1,0.2,0.3]'' LIMIT 5');
SELECT same('SELECT id FROM partial WHERE id % 2 = 1 AND NOT deleted ORDER BY e::vector(3) <-> ''[1,0.2,0.3]'' LIMIT 5');
RESET hnsw.filter_strategy;
DROP TABLE items, queries, p, partial;
DROP FUNCTION same, near;
