-- Which plan the cost model chooses.
CREATE TABLE tiny (id int, e vector(8));
INSERT INTO tiny SELECT i, ARRAY[i,1,2,3,4,5,6,7]::vector FROM generate_series(1, 50) i;
CREATE INDEX ON tiny USING hnsw (e vector_l2_ops);
ANALYZE tiny;
EXPLAIN (COSTS OFF) SELECT id FROM tiny ORDER BY e <-> '[1,1,1,1,1,1,1,1]' LIMIT 5;

CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        -- version 18 says so where a plan had to use what is switched off
        IF line !~ 'Disabled: true' THEN RETURN NEXT regexp_replace(line, '\[.*\]', '[...]'); END IF;
    END LOOP;
END $$;
CREATE FUNCTION query(filter text, dim int, table_name text = 'big') RETURNS text LANGUAGE sql AS $$
    SELECT format('SELECT id FROM %s %s ORDER BY e <-> %L LIMIT 10', table_name, filter,
        array_fill(0.5::float4, ARRAY[dim])::vector) $$;
CREATE TABLE big (id int PRIMARY KEY, rare int, common int, e vector(64));
INSERT INTO big
    SELECT i, i % 2000, i % 2, (SELECT array_agg(sin(i * 7 + j)) FROM generate_series(1, 64) j)::float4[]::vector
    FROM generate_series(1, 10000) i;
CREATE INDEX big_e ON big USING hnsw (e vector_l2_ops) WITH (m = 8, ef_construction = 16);
CREATE INDEX big_rare ON big (rare);
CREATE INDEX big_common ON big (common);
VACUUM ANALYZE big;
PREPARE q(vector) AS SELECT id FROM big ORDER BY e <-> $1 LIMIT 10;
SELECT array_fill(0.5::float4, ARRAY[64])::vector::text AS v \gset
SELECT plan(query('', 64));
-- a generic plan too
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE q(:'v');
RESET plan_cache_mode;
-- a selective filter with an index of its own: that one, and a sort
SELECT plan(query('WHERE rare = 5', 64));
SELECT plan(query('WHERE id = 5', 64));
-- a filter half of the rows pass
SELECT plan(query('WHERE common = 1', 64));
-- all rows in order: reading the table and sorting is cheaper
SELECT plan(replace(query('', 64), 'LIMIT 10', ''));
-- no order, no use
EXPLAIN (COSTS OFF) SELECT id FROM big LIMIT 10;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT plan('SELECT count(e) FROM big');
RESET enable_seqscan;
RESET enable_bitmapscan;
-- a larger ef_search costs more, a larger LIMIT too
CREATE FUNCTION cost(query text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    RETURN plan->0->'Plan'->>'Total Cost';
END $$;
CREATE TEMP TABLE costs (ef int, c float8);
SET enable_seqscan = off;
SET hnsw.ef_search = 40;
INSERT INTO costs SELECT 40, cost(query('', 64));
SET hnsw.ef_search = 400;
INSERT INTO costs SELECT 400, cost(query('', 64));
SELECT array_agg(ef ORDER BY c) FROM costs;
RESET hnsw.ef_search;
INSERT INTO costs
    SELECT -limit_rows, cost(replace(query('', 64), 'LIMIT 10', 'LIMIT ' || limit_rows))
    FROM unnest(ARRAY[10, 100, 1000]) limit_rows;
SELECT array_agg(-ef ORDER BY c) FROM costs WHERE ef < 0;
RESET enable_seqscan;
-- vectors stored out of line: the planner does not see what reading them costs
CREATE TABLE toasted (id int, rare int, e vector(800));
INSERT INTO toasted
    SELECT i, i % 100, (SELECT array_agg(sin(i * 7 + j)) FROM generate_series(1, 800) j)::float4[]::vector
    FROM generate_series(1, 1000) i;
CREATE INDEX toasted_e ON toasted USING hnsw (e vector_l2_ops) WITH (m = 4, ef_construction = 8);
CREATE INDEX toasted_rare ON toasted (rare);
VACUUM ANALYZE toasted;
SELECT plan(query('', 800, 'toasted'));
SELECT plan(query('WHERE rare = 5', 800, 'toasted'));
DROP TABLE tiny, big, costs, toasted;
DROP FUNCTION cost, plan, query;
