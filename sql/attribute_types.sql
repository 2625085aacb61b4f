-- Attribute columns: every type and operator, compared with a sequential scan of a copy of the table.
SET client_min_messages = warning;
SET jit = off;
SET TimeZone = 'America/New_York';
CREATE FUNCTION rows_of(table_name text, condition text, OUT ids int[], OUT distances float8[])
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT array_agg(id), array_agg(d) FROM '
        '(SELECT id, e <-> ''[0.5,0.25,0.125]'' AS d FROM %s WHERE %s ORDER BY e <-> ''[0.5,0.25,0.125]'' LIMIT 1000) s',
        table_name, condition) INTO ids, distances;
END $$;
-- How many rows meet the condition: a negative number or a text says that something is wrong.
CREATE FUNCTION compare(condition text, indexable boolean = true) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    scan text;
    used boolean = false;
    expected record;
    got record;
BEGIN
    FOR line IN EXECUTE format('EXPLAIN (COSTS OFF) SELECT id FROM t WHERE %s '
        'ORDER BY e <-> ''[0.5,0.25,0.125]'' LIMIT 1000', condition) LOOP
        used = used OR line ~ 'Index Cond';
    END LOOP;
    expected = rows_of('plain', condition);
    IF indexable AND NOT used THEN RETURN condition || ': not an index condition'; END IF;
    FOREACH scan IN ARRAY '{plain,exact,pre_filter}'::text[] LOOP
        PERFORM set_config('hnsw.enable_custom_scan', (scan <> 'plain')::text, true),
            set_config('hnsw.filter_strategy', replace(scan, 'plain', 'auto'), true);
        got = rows_of('t', condition);
        IF expected.distances IS DISTINCT FROM got.distances
            OR (SELECT array_agg(i ORDER BY i) FROM unnest(expected.ids) i)
                IS DISTINCT FROM (SELECT array_agg(i ORDER BY i) FROM unnest(got.ids) i) THEN
            RETURN format('%s: %s rows, not %s (%s)', condition, cardinality(got.ids), cardinality(expected.ids), scan);
        END IF;
    END LOOP;
    RETURN coalesce(cardinality(got.ids), 0);
END $$;
-- All operators with all arguments, alone and, two neighbours, as ANY. A NULL is folded before there is an
-- index condition.
CREATE FUNCTION try_all(columns text[], arguments text[], operators text[] = '{<,<=,=,>=,>}')
    RETURNS TABLE (conditions bigint, matched bigint, wrong text) LANGUAGE sql AS $$
    WITH argument AS (SELECT * FROM unnest(arguments) WITH ORDINALITY AS a (value, nr)),
    tried AS (
        SELECT compare(format('%s %s %s', c, op, value), value !~ 'NULL::') AS result
            FROM unnest(columns) c, unnest(operators) op, argument
        UNION ALL
        SELECT compare(format('%s %s ANY (ARRAY[%s, NULL, %s])', c, op, a.value, b.value), a.value || b.value !~ 'NULL::')
            FROM unnest(columns) c, unnest(operators) op, argument a JOIN argument b ON b.nr = a.nr + 1
            WHERE op !~ '&&|@>' AND substring(a.value from '::.*') = substring(b.value from '::.*'))
    SELECT count(*), sum(CASE WHEN result ~ '^\d+$' THEN result::int END),
        string_agg(result, E'\n') FILTER (WHERE result !~ '^\d+$') FROM tried $$;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
ALTER TYPE mood ADD VALUE 'awful' BEFORE 'sad';
ALTER TYPE mood ADD VALUE 'fine' AFTER 'ok';
CREATE DOMAIN small AS int4 CHECK (VALUE IS NULL OR VALUE < 1000000);
CREATE TABLE t (id int, e vector(3),
    b bool, i2 int2, i4 int4, i8 int8, dom small,
    f4 float4, f8 float8, n numeric,
    d date, ts timestamp, tz timestamptz,
    u uuid, m mood,
    x text, v varchar(20), c char(6), a4 int4[], a8 int8[], ax text[]);
INSERT INTO t SELECT i,
    CASE WHEN i % 50 <> 7 THEN ARRAY[sin(i), cos(i * 3), sin(i * 7) + i / 1000.0]::float4[]::vector END,
    CASE i % 3 WHEN 0 THEN true WHEN 1 THEN false END,
    CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN -32768 WHEN 2 THEN 32767 ELSE i % 11 - 5 END,
    CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN -2147483648 WHEN 2 THEN 2147483647 ELSE i % 11 - 5 END,
    CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN -9223372036854775808 WHEN 2 THEN 9223372036854775807 ELSE i % 11 - 5 END,
    CASE WHEN i % 9 <> 0 THEN i % 11 - 5 END,
    (ARRAY['NaN', 'Infinity', '-Infinity', '-0', '0', '1.5', '-1.5', '3.4e38', '1e-45', '0.1', NULL]::float4[])[i % 11 + 1],
    (ARRAY['NaN', 'Infinity', '-Infinity', '-0', '0', '1.5', '-1.5', '1.7e308', '5e-324', '0.1', NULL]::float8[])[i % 11 + 1],
    (ARRAY['NaN', 'Infinity', '-Infinity', '0', '1.5', '-1.5', '1e500', '-1e500', '1e-500', '0.1',
        '0.1000000000000000000001', '0.0999999999999999999999', '12345678901234567890', '12345678901234567891', NULL]::numeric[])[i % 15 + 1],
    (ARRAY['infinity', '-infinity', '4713-01-01 BC', '5874897-12-31', '300000-01-01', '2024-03-10', '2024-11-03', '2024-11-04', '1970-01-01', NULL]::date[])[i % 10 + 1],
    (ARRAY['infinity', '-infinity', '4713-01-01 BC', '294276-12-31 23:59:59', '2024-03-10 02:30', '2024-11-03 01:30', '2024-11-03',
        '2024-11-03 00:00:00.000001', '2024-11-02 23:59:59.999999', '1969-12-31 23:59:59', NULL]::timestamp[])[i % 11 + 1],
    (ARRAY['infinity', '-infinity', '4713-01-01 BC', '294276-12-31 00:00:00 UTC', '2024-03-10 03:30', '2024-11-03 01:30 EDT', '2024-11-03 01:30 EST',
        '2024-11-03', '2024-11-03 00:00:00.000001', '1969-12-31 23:59:59', NULL]::timestamptz[])[i % 11 + 1],
    CASE WHEN i % 8 <> 0 THEN (repeat(to_hex(i % 4 * 5), 16) || repeat(to_hex(i % 3), 16))::uuid END,
    (ARRAY['awful', 'sad', 'ok', 'fine', 'happy', NULL]::mood[])[i % 6 + 1],
    (ARRAY['', 'a', 'A', 'a ', 'b', E'\u00e4', repeat('long', 3000), NULL])[i % 8 + 1],
    (ARRAY['', 'a', 'A', 'a ', 'b', E'\u00e4', NULL])[i % 7 + 1],
    (ARRAY['', 'a', 'A', 'a ', 'b', E'\u00e4', NULL])[i % 7 + 1],
    (ARRAY['{}', '{1}', '{1,2}', '{1,2,3}', '{NULL}', '{NULL,2}', '{{1,2},{3,4}}', '[5:6]={-1,9}', NULL])[i % 9 + 1]::int4[],
    (ARRAY['{}', '{1}', '{1,2}', '{1,2,3}', '{NULL}', '{NULL,2}', '{{1,2},{3,4}}', '{9223372036854775807}', NULL])[i % 9 + 1]::int8[],
    (ARRAY['{}', '{a}', '{a,b}', '{a,b,c}', '{NULL}', '{NULL,b}', '{"",A}', '{{a,b},{c,d}}', NULL])[i % 9 + 1]::text[]
    FROM generate_series(1, 330) i;
CREATE TABLE plain AS SELECT * FROM t;
SET enable_seqscan = off;
SET enable_sort = off;

CREATE INDEX t_idx ON t USING hnsw (e vector_l2_ops, b, i2, i4, i8, dom);
SELECT * FROM try_all('{b}', '{true,false,NULL::bool}', '{<,<=,>=,>}');
SELECT compare('b'), compare('NOT b'), compare('b IS TRUE'), compare('b = false');
SELECT * FROM try_all('{i2,i4,i8,dom}', ARRAY['3::int2', '(-32768)::int2', '32767::int2', '3', '-5', '(-2147483648)', '2147483647',
    '40000', '3::int8', '(-9223372036854775808)::int8', '9223372036854775807::int8', 'NULL::int4', '(SELECT 3)']);
DROP INDEX t_idx;

CREATE INDEX t_idx ON t USING hnsw (e vector_l2_ops, f4, f8, n);
SELECT * FROM try_all('{f4,f8}', ARRAY['''NaN''::float8', '''NaN''::float4', '''Infinity''::float8', '''-Infinity''::float8',
    '0::float8', '''-0''::float8', '0.1::float4', '0.1::float8', '1.5::float4', '1e300::float8', '5e-324::float8', '1e-45::float4', '-1.5::float8']);
SELECT * FROM try_all('{n}', ARRAY['''NaN''::numeric', '''Infinity''::numeric', '''-Infinity''::numeric', '0::numeric',
    '0.1', '0.1000000000000000000001', '0.0999999999999999999999', '1e500', '-1e500', '2e500', '1e-500', '1e-501',
    '12345678901234567890', '12345678901234567891', '-1.5']);
DROP INDEX t_idx;

CREATE INDEX t_idx ON t USING hnsw (e vector_l2_ops, d, ts, tz);
SELECT * FROM try_all('{d,ts,tz}', ARRAY['''infinity''::date', '''-infinity''::date', '''4713-01-01 BC''::date', '''5874897-12-31''::date',
    '''300000-01-01''::date', '''294277-01-01''::date', '''2024-03-10''::date', '''2024-11-03''::date', '''2024-11-04''::date', 'NULL::date',
    '''infinity''::timestamp', '''-infinity''::timestamp', '''294276-12-31 23:59:59.999999''::timestamp', '''4713-01-01 BC''::timestamp',
    '''2024-03-10 02:30''::timestamp', '''2024-11-03 01:30''::timestamp', '''2024-11-03''::timestamp', '''2024-11-02 23:59:59.999999''::timestamp',
    '''infinity''::timestamptz', '''-infinity''::timestamptz', '''294276-12-31 23:59:59.999999 UTC''::timestamptz', '''2024-03-10 03:30''::timestamptz',
    '''2024-11-03 01:30 EDT''::timestamptz', '''2024-11-03 01:30 EST''::timestamptz', '''2024-11-03''::timestamptz']);
SET TimeZone = 'Pacific/Apia';
SELECT * FROM try_all('{d,ts,tz}', ARRAY['''2024-11-03''::date', '''2024-11-03''::timestamp', '''2024-11-03 01:30 EDT''::timestamptz',
    '''2024-11-03''::timestamptz', '''2011-12-30''::timestamp']);
RESET TimeZone;
DROP INDEX t_idx;

CREATE INDEX t_idx ON t USING hnsw (e vector_l2_ops, u, m);
SELECT * FROM try_all('{u}', ARRAY['''55555555-5555-5555-1111-111111111111''::uuid', '''55555555-5555-5555-0000-000000000000''::uuid',
    '''00000000-0000-0000-0000-000000000000''::uuid', '''ffffffff-ffff-ffff-ffff-ffffffffffff''::uuid']);
SELECT * FROM try_all('{m}', ARRAY['''awful''::mood', '''sad''::mood', '''ok''::mood', '''fine''::mood', '''happy''::mood', 'NULL::mood']);
-- a label added later, in the middle and in front
ALTER TYPE mood ADD VALUE 'meh' BEFORE 'ok';
ALTER TYPE mood ADD VALUE 'dead' BEFORE 'awful';
UPDATE t SET m = 'meh' WHERE id % 5 = 0;
UPDATE t SET m = 'dead' WHERE id % 17 = 0;
DROP TABLE plain;
CREATE TABLE plain AS SELECT * FROM t;
SELECT * FROM try_all('{m}', ARRAY['''dead''::mood', '''awful''::mood', '''sad''::mood', '''meh''::mood', '''ok''::mood', '''happy''::mood']);
DROP INDEX t_idx;

CREATE INDEX t_idx ON t USING hnsw (e vector_l2_ops, x, v, c);
SELECT * FROM try_all('{x,v}', ARRAY['''''::text', '''a''::text', '''A''::text', '''a ''::text', '''a''::varchar', E'''\u00e4''::text',
    'repeat(''long'', 3000)::text', 'NULL::text'], '{=}');
SELECT * FROM try_all('{c}', ARRAY['''''::char(6)', '''a''::char(6)', '''a  ''::char(3)', '''A''::char(6)', E'''\u00e4''::char(6)'], '{=}');
DROP INDEX t_idx;

CREATE INDEX t_idx ON t USING hnsw (e vector_l2_ops, a4, a8, ax);
SELECT * FROM try_all('{a4}', ARRAY['''{}''::int4[]', '''{1}''::int4[]', '''{2,3}''::int4[]', '''{3,1,1}''::int4[]', '''{NULL}''::int4[]',
    '''{NULL,1}''::int4[]', '''{{1,2},{3,4}}''::int4[]', '''[7:8]={9,9}''::int4[]', '''{77}''::int4[]', 'NULL::int4[]',
    'ARRAY(SELECT 2)'], '{&&,@>}');
SELECT * FROM try_all('{a8}', ARRAY['''{}''::int8[]', '''{1}''::int8[]', '''{2,3}''::int8[]', '''{9223372036854775807}''::int8[]'], '{&&,@>}');
SELECT * FROM try_all('{ax}', ARRAY['''{}''::text[]', '''{a}''::text[]', '''{b,c}''::text[]', '''{A}''::text[]', '''{""}''::text[]',
    '''{NULL,a}''::text[]', '''{z}''::text[]'], '{&&,@>}');
DROP INDEX t_idx;

-- NULLs of every kind of column, and of the vector
CREATE INDEX t_idx ON t USING hnsw (e vector_l2_ops, b, n, ts, u, m, x, ax);
SELECT c, compare(c || ' IS NULL') AS nulls, compare(c || ' IS NOT NULL') AS others
    FROM unnest('{e,b,n,ts,u,m,x,ax}'::text[]) c;
-- several conditions at once
SELECT compare('b AND n > 0 AND m >= ''ok'''), compare('b AND NOT b', false), compare('n > 0 AND n < 0'),
    compare('m > ''ok'' AND m < ''happy'' AND x IS NOT NULL AND e IS NOT NULL'),
    compare('ts BETWEEN ''2024-01-01'' AND ''2025-01-01'' AND ax && ''{a}'' AND x = ''b''');
DROP TABLE t, plain;
DROP FUNCTION rows_of, compare, try_all;
DROP TYPE mood;
DROP DOMAIN small;
