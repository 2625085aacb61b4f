-- The custom scan for filtered queries: every strategy gives the rows that exact search gives.
CREATE TABLE f (id int PRIMARY KEY, rare int, mid int, common int, tags int[], doc jsonb, e vector(3));
INSERT INTO f
    SELECT i, i % 400, i % 20, i % 2, ARRAY[i % 7, i % 11], jsonb_build_object('k', i % 4, 's', 'v' || i % 9),
        ARRAY[sin(i * 7.13), cos(i * 3.71), sin(i * 0.37)]::float4[]::vector
    FROM generate_series(1, 4000) i;
-- rows without a vector, and rows alike
INSERT INTO f SELECT i, 1, 1, 1, '{}', '{}', NULL FROM generate_series(4001, 4010) i;
INSERT INTO f SELECT i, i % 400, i % 20, i % 2, '{}', '{}', '[1,2,3]' FROM generate_series(4011, 4100) i;
CREATE INDEX f_e ON f USING hnsw (e vector_l2_ops);
CREATE INDEX f_rare ON f (rare);
CREATE INDEX f_mid ON f (mid);
CREATE INDEX f_common ON f (common);
CREATE INDEX f_tags ON f USING gin (tags);
CREATE INDEX f_k ON f ((doc->>'k'));
VACUUM ANALYZE f;
SET hnsw.ef_search = 200;

-- Runs a query exactly and in every strategy. Shows how often the distances differed (in order, where
-- there is a LIMIT or the strategy is not forced; their number alone where rows are passed over without
-- one, since a late row may be either side of the mark), in how many runs the custom scan was used, and
-- the number of rows.
CREATE FUNCTION compare(query text, OUT "rows" int, OUT differences int, OUT custom int)
LANGUAGE plpgsql AS $$
DECLARE
    strategy text; truth text; got text; line text;
    wrapped text := 'SELECT string_agg(coalesce(d::text, ''null''), '','' ORDER BY %s), count(*) FROM (SELECT d, row_number() OVER () AS n FROM ('
        || query || ') s) t';
BEGIN
    PERFORM set_config('enable_indexscan', 'off', true);
    EXECUTE replace(wrapped, '%s', 'n') INTO truth, "rows";
    PERFORM set_config('enable_indexscan', 'on', true);
    PERFORM set_config('enable_sort', 'off', true);
    PERFORM set_config('enable_seqscan', 'off', true);
    differences := 0;
    custom := 0;
    FOREACH strategy IN ARRAY '{auto,exact,filter_first,penalised,pre_filter,post_filter}'::text[] LOOP
        PERFORM set_config('hnsw.filter_strategy', strategy, true);
        FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
            IF line ~ 'Custom Scan' THEN custom := custom + 1; END IF;
        END LOOP;
        EXECUTE replace(wrapped, '%s', CASE WHEN query ~ 'LIMIT \d' OR strategy = 'auto' THEN 'n' ELSE 'd' END) INTO got;
        IF query ~ '[^0-9] OFFSET \d+$' AND strategy <> 'auto' THEN
            got := cardinality(string_to_array(got, ','));
            IF got IS DISTINCT FROM cardinality(string_to_array(truth, ','))::text THEN
                differences := differences + 1;
            END IF;
        ELSIF got IS DISTINCT FROM truth THEN
            differences := differences + 1;
        END IF;
    END LOOP;
    PERFORM set_config('hnsw.filter_strategy', 'auto', true);
    PERFORM set_config('enable_sort', 'on', true);
    PERFORM set_config('enable_seqscan', 'on', true);
END $$;
CREATE FUNCTION top(filter text, rest text = 'LIMIT 10') RETURNS text LANGUAGE sql AS $$
    SELECT 'SELECT id, e <-> ''[0.3,0.2,0.1]'' AS d FROM f WHERE ' || filter || ' ORDER BY e <-> ''[0.3,0.2,0.1]'' ' || rest $$;

SELECT filter, c.* FROM unnest(ARRAY[
    'rare = 5', 'mid = 5', 'common = 1', 'rare = 5 AND common = 1', 'mid = 5 OR rare = 7', 'mid IN (5, 6)',
    'tags @> ''{3}''', 'tags && ''{3,4}''', 'doc->>''k'' = ''1''', 'doc @> ''{"k": 1}''', 'doc @@ ''$.k == 1''',
    'mid = 5 AND doc @> ''{"k": 1}''', 'id < 0', 'rare = 1', 'id > 0', 'e IS NOT NULL AND mid = 1', 'e IS NULL',
    'id % 100 = 3', 'id BETWEEN 10 AND 3000', 'mid = -1', 'false', 'now() > ''2000-01-01''']) filter,
    compare(top(filter)) c;
-- all of them; more than there are; further down
SELECT rest, filter, c.* FROM unnest(ARRAY['', 'LIMIT 5000', 'LIMIT 7 OFFSET 20', 'OFFSET 100', 'LIMIT 0', 'LIMIT NULL']) rest,
    unnest(ARRAY['rare = 1', 'mid = 5', 'common = 1']) filter, compare(top(filter, rest)) c;
-- little memory: lossy bitmaps, sorts on disk, exact passes
SET work_mem = '64kB';
SELECT rest, filter, c.* FROM unnest(ARRAY['', 'LIMIT 10']) rest,
    unnest(ARRAY['mid = 5', 'common = 1', 'id > 100 AND common = 0', 'tags && ''{1,2,3}''']) filter, compare(top(filter, rest)) c;
RESET work_mem;
-- distance bounds, with and without LIMIT, in all their forms
SELECT rest, filter, c.* FROM unnest(ARRAY['', 'LIMIT 10']) rest, unnest(ARRAY[
    'e <-> ''[0.3,0.2,0.1]'' < 0.3', 'e <-> ''[0.3,0.2,0.1]'' <= 0.3', '0.3 > e <-> ''[0.3,0.2,0.1]''',
    '''[0.3,0.2,0.1]'' <-> e < 0.3', 'e <-> ''[0.3,0.2,0.1]'' < 0.3::real', 'e <-> ''[0.3,0.2,0.1]'' < 0.3 AND common = 1',
    'e <-> ''[0.3,0.2,0.1]'' < 0.5 AND mid = 5', 'e <-> ''[0.3,0.2,0.1]'' < -1', 'e <-> ''[0.3,0.2,0.1]'' < NULL',
    'e <-> ''[0.3,0.2,0.1]'' < ''NaN''', 'e <-> ''[0.3,0.2,0.1]'' > 0.3', 'e <-> ''[0,0,0]'' < 0.3', 'e <=> ''[0.3,0.2,0.1]'' < 0.1']) filter,
    compare(top(filter, rest)) c;
-- a NULL query, a NULL bound from a sub-select
SELECT c.* FROM compare('SELECT id, e <-> NULL AS d FROM f WHERE mid = 5 ORDER BY e <-> NULL LIMIT 10') c;
SELECT c.* FROM compare('SELECT id, e <-> (SELECT e FROM f WHERE id = 77) AS d FROM f WHERE mid = 5 ORDER BY e <-> (SELECT e FROM f WHERE id = 77) LIMIT 10') c;
-- rows deleted and changed, seen by the same scan
BEGIN;
DELETE FROM f WHERE id % 3 = 0;
UPDATE f SET mid = 5 WHERE mid = 6;
UPDATE f SET e = '[0.3,0.2,0.11]' WHERE id IN (5, 25, 45);
SELECT filter, c.* FROM unnest(ARRAY['rare = 5', 'mid = 5', 'common = 1']) filter, compare(top(filter)) c;
ROLLBACK;
-- switched off
SET hnsw.enable_custom_scan = off;
SELECT c.* FROM compare(top('mid = 5')) c;
RESET hnsw.enable_custom_scan;
SET hnsw.filter_strategy = best;

-- What EXPLAIN shows.
CREATE FUNCTION plan(query text, options text = 'COSTS OFF') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE format('EXPLAIN (%s) %s', options, query) LOOP
        IF line !~ 'Disabled: true|Index Searches' THEN
            line := regexp_replace(line, '\n *"Disabled": false,', '', 'g');
            RETURN NEXT regexp_replace(regexp_replace(line, '(Matches|Read|Fetched|Distances|Filter|Mind): \d+', '\1: N'), ' \(actual.*', '');
        END IF;
    END LOOP;
END $$;
SELECT plan(top('mid = 5'));
SELECT plan(top('common = 1 AND doc @> ''{"k": 1}'''));
SELECT plan(top('rare = 5'));
SELECT plan(top('id = 5'));
SET enable_sort = off;
SELECT plan(top('e <-> ''[0.3,0.2,0.1]'' < 0.3 AND 0.5 >= ''[0.3,0.2,0.1]'' <-> e'));
RESET enable_sort;
SET enable_bitmapscan = off;
SELECT plan(top('mid = 5'));
RESET enable_bitmapscan;
SET hnsw.filter_strategy = exact;
SELECT plan(top('mid = 5'), 'ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF');
SET hnsw.filter_strategy = post_filter;
SELECT plan(top('mid = 5'), 'ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF');
RESET hnsw.filter_strategy;
SELECT plan(replace(top('mid = 5'), 'id, ', 'f.*, '), 'COSTS OFF, VERBOSE, FORMAT JSON');
DROP TABLE f;
DROP FUNCTION compare, top, plan;

-- Versions that only a chain of HOT updates leads to are returned as they are.
CREATE TABLE versions (id int, e vector(3), a int, b int, note int) WITH (fillfactor = 30);
INSERT INTO versions SELECT i, ARRAY[i % 10, i / 10 % 10, i / 100]::vector, i % 4, i % 5, 0 FROM generate_series(1, 600) i;
CREATE INDEX ON versions USING hnsw (e vector_l2_ops, a);
CREATE INDEX ON versions (b);
ANALYZE versions;
BEGIN;
UPDATE versions SET note = 1 WHERE id % 3 > 0;
UPDATE versions SET note = note + 1 WHERE id % 3 = 2;
SELECT pg_stat_get_xact_tuples_hot_updated('versions'::regclass);
SET LOCAL enable_seqscan = off;
SET LOCAL enable_sort = off;
CREATE FUNCTION right_notes(condition text) RETURNS TABLE (strategy text, returned bigint, wrong bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOREACH strategy IN ARRAY ARRAY['exact', 'pre_filter', 'filter_first', 'post_filter', 'auto'] LOOP
        PERFORM set_config('hnsw.filter_strategy', strategy, true);
        EXECUTE format('SELECT count(*), count(*) FILTER (WHERE note <> id %% 3 OR note IS NULL)
            FROM (SELECT id, note FROM versions WHERE %s ORDER BY e <-> ''[4,5,3]'' LIMIT 40) rows', condition) INTO returned, wrong;
        RETURN NEXT;
    END LOOP;
END $$;
SELECT condition, n.* FROM unnest(ARRAY['a = 1', 'b = 2', 'a = 1 AND b = 2', 'note >= 0']) condition, right_notes(condition) n;
COMMIT;
DROP TABLE versions;
DROP FUNCTION right_notes;
