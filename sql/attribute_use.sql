-- Attribute columns in use: what CREATE INDEX takes and refuses, updates, expressions, partial indexes,
-- contradictions, equal vectors.
SET jit = off;
CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        -- version 18 says so where a plan had to use what is switched off
        IF line !~ 'Disabled: true' THEN RETURN NEXT line; END IF;
    END LOOP;
END $$;
CREATE TABLE t (id int, e vector(2), category int, price numeric, tags text[], pt point, j jsonb, pts point[]);

-- the vector comes first and is the only one
CREATE INDEX ON t USING hnsw (category);
CREATE INDEX ON t USING hnsw (category, e vector_l2_ops);
CREATE INDEX ON t USING hnsw (e vector_l2_ops, e vector_cosine_ops);
CREATE INDEX ON t USING hnsw (e, category);
CREATE INDEX ON t USING hnsw (e vector_l2_ops, pt);
CREATE INDEX ON t USING hnsw (e vector_l2_ops, j);
CREATE INDEX ON t USING hnsw (e vector_l2_ops, pts);
CREATE INDEX ON t USING hnsw (e vector_l2_ops, category DESC);
CREATE INDEX ON t USING hnsw (e vector_l2_ops, category) INCLUDE (price);
CREATE UNIQUE INDEX ON t USING hnsw (e vector_l2_ops, category);
CREATE INDEX ON t USING hnsw (e vector_l2_ops, id, id, id, id, id, id, id, id, id);
CREATE INDEX t_eight ON t USING hnsw (e vector_l2_ops, id, category, price, tags, id, id, id, id);
DROP INDEX t_eight;
CREATE INDEX CONCURRENTLY t_concurrently ON t USING hnsw (category);
SELECT indisvalid FROM pg_index WHERE indexrelid = 't_concurrently'::regclass;
DROP INDEX t_concurrently;
-- an unlogged table has an empty copy to make
CREATE UNLOGGED TABLE u (category int, e vector(2));
CREATE INDEX ON u USING hnsw (category);
CREATE INDEX u_idx ON u USING hnsw (e vector_l2_ops, category);
DROP TABLE u;
-- a partition's index is attached if it has the same columns
CREATE TABLE p (category int, e vector(2)) PARTITION BY LIST (category);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 (category int, e vector(2));
CREATE INDEX p2_idx ON p2 USING hnsw (e vector_l2_ops, category);
CREATE INDEX p2_other ON p2 USING hnsw (e vector_l2_ops);
CREATE INDEX p_idx ON ONLY p USING hnsw (e vector_l2_ops, category);
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2);
SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'p_idx'::regclass;
ALTER INDEX p_idx ATTACH PARTITION p2_other;
DROP TABLE p;
-- a type of its own class, strange members of the families
CREATE OPERATOR CLASS point_ops DEFAULT FOR TYPE point USING hnsw AS OPERATOR 3 ~= (point, point);
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'point_ops' AND opcmethod = (SELECT oid FROM pg_am WHERE amname = 'hnsw');
CREATE INDEX ON t USING hnsw (e vector_l2_ops, pt);
DROP OPERATOR FAMILY point_ops USING hnsw;
CREATE OPERATOR CLASS other_int_ops FOR TYPE int4 USING hnsw AS OPERATOR 6 = (int4, int4), FUNCTION 1 (int4, int4) btint4cmp(int4, int4);
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'other_int_ops';
DROP OPERATOR FAMILY other_int_ops USING hnsw;

-- what pg_dump prints
CREATE INDEX t_idx ON t USING hnsw (e vector_cosine_ops, category, price, tags) WITH (m = 8);
SELECT pg_get_indexdef('t_idx'::regclass);
SELECT property, array_agg(pg_index_column_has_property('t_idx', n, property) ORDER BY n) AS columns
    FROM unnest('{distance_orderable,search_array,search_nulls,returnable,orderable}'::text[]) property, generate_series(1, 3) n
    GROUP BY property ORDER BY property;
SELECT amname, pg_indexam_has_property(oid, 'can_multi_col') AS multi_col, pg_indexam_has_property(oid, 'can_include') AS include
    FROM pg_am WHERE amname = 'hnsw';
SELECT attributes FROM hnsw_stats('t_idx');
DROP INDEX t_idx;

-- rows
CREATE INDEX t_idx ON t USING hnsw (e vector_l2_ops, category, price, tags);
INSERT INTO t SELECT i, ARRAY[i, 1]::vector, i % 100, i / 10.0, ARRAY['t' || i % 7, 'u' || i % 5] FROM generate_series(1, 2000) i;
INSERT INTO t VALUES (3000, NULL, 5, NULL, NULL), (3001, NULL, NULL, 5, '{t1}');
ANALYZE t;
SET enable_seqscan = off;
SET enable_sort = off;
-- more conditions than one on a column, on the vector, and one on none
SELECT plan('SELECT id FROM t WHERE category = 5 AND category < 7 AND e IS NOT NULL AND id % 2 = 1 AND tags && ''{t1,t2}'' ORDER BY e <-> ''[700,1]'' LIMIT 3');
SELECT id FROM t WHERE category = 5 AND category < 7 AND e IS NOT NULL AND id % 2 = 1 AND tags && '{t1,t2}' ORDER BY e <-> '[700,1]' LIMIT 3;
SELECT count(*), count(e) FROM (SELECT e FROM t WHERE category = 5 ORDER BY e <-> '[700,1]') s;
SELECT count(*), count(e) FROM (SELECT e FROM t WHERE category = 5 AND e IS NOT NULL ORDER BY e <-> '[700,1]') s;
SELECT count(*), count(e) FROM (SELECT e FROM t WHERE category = 5 AND e IS NULL ORDER BY e <-> '[700,1]') s;
SELECT count(*), count(e) FROM (SELECT e FROM t WHERE category = 5 AND e IS NOT NULL ORDER BY e <-> NULL) s;
-- no order, no use
SELECT plan('SELECT id FROM t WHERE category = 5');
SELECT count(*) FROM plan('SELECT a.id FROM t a JOIN t b ON a.category = b.id WHERE b.id = 3') l WHERE l ~ 't_idx';
-- contradictions end the scan before it begins
SET plan_cache_mode = force_generic_plan;
PREPARE equal(int) AS SELECT id FROM t WHERE category = $1 ORDER BY e <-> '[700,1]' LIMIT 2;
PREPARE any_of(int[]) AS SELECT id FROM t WHERE category = ANY ($1) ORDER BY e <-> '[700,1]' LIMIT 2;
PREPARE overlap(text[]) AS SELECT id FROM t WHERE tags && $1 ORDER BY e <-> '[700,1]' LIMIT 2;
EXECUTE equal(5);
EXECUTE equal(NULL);
EXECUTE equal(-1);
EXECUTE any_of('{5,NULL,98}');
EXECUTE any_of('{}');
EXECUTE any_of('{NULL}');
EXECUTE any_of(NULL);
EXECUTE overlap('{t6,zz}');
EXECUTE overlap('{}');
EXECUTE overlap('{NULL}');
EXECUTE overlap(NULL);
SELECT count(*) FROM (SELECT id FROM t WHERE tags @> '{}' ORDER BY e <-> '[700,1]') s;
SELECT count(*) FROM (SELECT id FROM t WHERE tags @> '{t1,NULL}' ORDER BY e <-> '[700,1]') s;
RESET plan_cache_mode;
DEALLOCATE ALL;
-- rescans with another key
SELECT c, (SELECT array_agg(id) FROM (SELECT id FROM t WHERE category = c ORDER BY e <-> '[700,1]' LIMIT 2) s)
    FROM (VALUES (5), (NULL), (99), (100), (0)) v (c);
-- a cursor
BEGIN;
DECLARE cur CURSOR FOR SELECT id FROM t WHERE category = 7 ORDER BY e <-> '[700,1]';
FETCH 3 FROM cur;
FETCH 3 FROM cur;
COMMIT;

-- an update of an attribute alone is seen at once
UPDATE t SET category = 1000 WHERE id = 700;
SELECT id FROM t WHERE category = 1000 ORDER BY e <-> '[700,1]' LIMIT 2;
SELECT id FROM t WHERE category = 0 ORDER BY e <-> '[700,1]' LIMIT 1;
BEGIN;
UPDATE t SET category = 2000 WHERE id <= 100;
SELECT count(*), min(id), max(id) FROM (SELECT id FROM t WHERE category = 2000 ORDER BY e <-> '[700,1]' LIMIT 200) s;
ROLLBACK;
SELECT count(*) FROM (SELECT id FROM t WHERE category = 2000 ORDER BY e <-> '[700,1]' LIMIT 200) s;
UPDATE t SET tags = array_append(tags, 'new'), price = -price WHERE id % 3 = 0;
SELECT count(*) FROM (SELECT id FROM t WHERE tags @> '{new}' ORDER BY e <-> '[700,1]') s;
SELECT count(*) FROM (SELECT id FROM t WHERE price < 0 ORDER BY e <-> '[700,1]') s;
SELECT nodes_per_level[1] AS nodes FROM hnsw_stats('t_idx');
VACUUM t;
SELECT count(*) FROM (SELECT id FROM t WHERE tags @> '{new}' ORDER BY e <-> '[700,1]') s;
SELECT * FROM hnsw_check('t_idx') WHERE severity = 'error';

-- chosen by cost: a share of the rows, with no other index to find them; a condition too rare for a walk
-- is answered from the index as well
CREATE TABLE many (id int, e vector(64), category int, rare int);
INSERT INTO many SELECT i, (SELECT array_agg(sin(i * 7 + j)) FROM generate_series(1, 64) j)::float4[]::vector, i % 10, i % 1000
    FROM generate_series(1, 10000) i;
CREATE INDEX many_idx ON many USING hnsw (e vector_l2_ops, category, rare) WITH (m = 8, ef_construction = 16);
VACUUM ANALYZE many;
RESET enable_seqscan;
RESET enable_sort;
SELECT array_fill(0.5::float4, ARRAY[64])::vector::text AS v \gset
CREATE FUNCTION uses_index(query text) RETURNS boolean LANGUAGE sql AS $$
    SELECT bool_or(line ~ 'Index Cond') AND NOT bool_or(line ~ 'Sort|Seq Scan') FROM plan(query) line $$;
SELECT condition, uses_index(format('SELECT id FROM many WHERE %s ORDER BY e <-> %L LIMIT 10', condition, :'v')) AS custom
    FROM unnest(ARRAY['category < 5', 'rare = 5', 'category IN (1, 2, 3)', 'rare < 500 AND id > 0']) condition;
SET hnsw.enable_custom_scan = off;
SELECT condition, uses_index(format('SELECT id FROM many WHERE %s ORDER BY e <-> %L LIMIT 10', condition, :'v')) AS plain
    FROM unnest(ARRAY['category < 5', 'rare = 5', 'rare < 500 AND id > 0']) condition;
RESET hnsw.enable_custom_scan;
DROP TABLE many;
DROP FUNCTION uses_index;
SET enable_seqscan = off;
SET enable_sort = off;

-- many rows with one vector
CREATE TABLE same (id int, e vector(2), category int);
INSERT INTO same SELECT i, (ARRAY['[1,1]', '[2,2]']::vector[])[i % 2 + 1], i % 500 FROM generate_series(1, 5000) i;
CREATE INDEX same_idx ON same USING hnsw (e vector_l2_ops, category);
INSERT INTO same SELECT i, '[1,1]', i % 500 FROM generate_series(5001, 6000) i;
SELECT DISTINCT n FROM (SELECT (SELECT count(*) FROM (SELECT id FROM same WHERE category = c ORDER BY e <-> '[1,2]') s) FROM generate_series(0, 499) c) s (n);
SELECT count(DISTINCT found) FROM (SELECT (SELECT id FROM same WHERE category = c ORDER BY e <-> '[1,1]' LIMIT 1) AS found FROM generate_series(0, 499) c) s;
SELECT nodes_per_level[1] AS nodes FROM hnsw_stats('same_idx');
SELECT * FROM hnsw_check('same_idx') WHERE severity = 'error';
DROP TABLE same;

-- expressions, a predicate, and both
DROP INDEX t_idx;
UPDATE t SET j = jsonb_build_object('k', id % 20);
CREATE INDEX t_idx ON t USING hnsw (e vector_l2_ops, (j ->> 'k'), ((category + 1) % 10)) WHERE category < 1000;
SELECT pg_get_indexdef('t_idx'::regclass);
SELECT plan('SELECT id FROM t WHERE j ->> ''k'' = ''3'' AND (category + 1) % 10 = 4 AND category < 1000 ORDER BY e <-> ''[700,1]'' LIMIT 2');
SELECT id FROM t WHERE j ->> 'k' = '3' AND (category + 1) % 10 = 4 AND category < 1000 ORDER BY e <-> '[700,1]' LIMIT 2;
SELECT count(*) FROM (SELECT id FROM t WHERE j ->> 'k' = '3' AND category < 1000 ORDER BY e <-> '[700,1]') s;
DROP INDEX t_idx;

-- the checker compares attributes with the table's rows
CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE TABLE few (id int, e vector(2));
INSERT INTO few SELECT i, ARRAY[1, i / 2]::vector FROM generate_series(1, 4) i;
CREATE INDEX few_idx ON few USING hnsw (e vector_l2_ops, f(id));
SELECT * FROM hnsw_check('few_idx');
CREATE OR REPLACE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN CASE WHEN $1 < 3 THEN $1 ELSE -$1 END; END';
SELECT severity, code, detail FROM hnsw_check('few_idx') ORDER BY detail;
REINDEX INDEX few_idx;
SELECT * FROM hnsw_check('few_idx');
DROP TABLE few;
DROP FUNCTION f;

-- a column's type changes
CREATE INDEX t_idx ON t USING hnsw (e vector_l2_ops, category);
ALTER TABLE t ALTER category TYPE text;
SELECT id FROM t WHERE category = '7' ORDER BY e <-> '[700,1]' LIMIT 1;
ALTER TABLE t ALTER category TYPE point USING NULL;
DROP TABLE t;

-- collations: text equal under a nondeterministic one has one key
CREATE TABLE words (id int, e vector(2), w text);
INSERT INTO words SELECT i, ARRAY[i, 1]::vector, (ARRAY['a', 'A', 'b', 'B'])[i % 4 + 1] FROM generate_series(1, 100) i;
DO $$
DECLARE n int;
BEGIN
    BEGIN
        CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    EXCEPTION WHEN feature_not_supported THEN
        RETURN;  -- a server built without ICU
    END;
    ALTER TABLE words ALTER w TYPE text COLLATE nocase;
    CREATE INDEX words_idx ON words USING hnsw (e vector_l2_ops, w);
    SELECT count(*) INTO n FROM (SELECT id FROM words WHERE w = 'A' ORDER BY e <-> '[50,1]') s;
    IF n <> 50 THEN RAISE '% rows', n; END IF;
    -- an index of one collation does not serve another
    FOR n IN SELECT 1 FROM plan('SELECT id FROM words WHERE w = ''A'' COLLATE "C" ORDER BY e <-> ''[50,1]''') l WHERE l ~ 'Index Cond' LOOP
        RAISE 'wrong collation';
    END LOOP;
END $$;
DROP TABLE words;
DROP FUNCTION plan;
