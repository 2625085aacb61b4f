-- Malformed statements and binary messages, each with the error it gets.
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ' ' || message || CASE WHEN detail <> '' THEN ' (' || detail || ')' ELSE '' END;
END
$$;
CREATE TABLE t (v vector, w vector(2));
CREATE TABLE malformed (id int GENERATED ALWAYS AS IDENTITY, statement text);

-- Text.
INSERT INTO malformed (statement) SELECT format('SELECT %L::vector', literal) FROM unnest(ARRAY[
    '', ' ', '1,2', '{1,2}', '(1,2)', '[', '[ ', '[]', '[ ]', '[1', '[1,', '[1,]', '[,]', '[,1]', '[1,,2]',
    '[1 2]', '[1;2]', '[1,2', '[1,2)', '[1]]', '[1][2]', '[1] x', '[[1]]', '[a]', '[1,b]', '[NULL]', '[true]',
    '[1e]', '[1e+]', '[.]', '[-]', '[+]', '[+-1]', '[--1]', '[1.2.3]', '[0x]', '[0xg]', '[1_000]', '[1,2,3]x',
    '[nan]', '[NaN,1]', '[-nan]', '[inf]', '[1,-Infinity]', '[1e39]', '[-1e400]', '[0x1p128]',
    '[99999999999999999999999999999999999999999]', '[''1'']', '["1"]'
    ]) WITH ORDINALITY AS l (literal, n) ORDER BY n;
INSERT INTO malformed (statement) VALUES
    ($$SELECT '[1,2]'::vector(3)$$),
    ($$SELECT '[1,2]'::vector::vector(3)$$),
    ($$SELECT '[1]'::vector(0)$$),
    ($$SELECT '[1]'::vector(-1)$$),
    ($$SELECT '[1]'::vector(16001)$$),
    ($$SELECT '[1]'::vector(1, 2)$$),
    ($$SELECT '[1]'::vector('x')$$),
    ($$SELECT '[1]'::vector(1.5)$$),
    ($$SELECT '[1]'::vector(99999999999)$$),
    ($$INSERT INTO t (w) VALUES ('[1]')$$),
    ($$INSERT INTO t (w) VALUES ('{1,2}')$$),
    ($$INSERT INTO t (v) VALUES (1)$$),
    ($$INSERT INTO t (v) VALUES (repeat('[', 100000))$$),
    ($$SELECT ('[' || repeat('1,', 16000) || '1]')::vector$$),
    ($$SELECT repeat('[', 100000)::vector$$),
    ($$SELECT ('[1' || repeat('0', 1000) || ']')::vector$$);

-- Casts.
INSERT INTO malformed (statement) VALUES
    ($$SELECT '{}'::int[]::vector$$),
    ($$SELECT '{NULL}'::real[]::vector$$),
    ($$SELECT '{{1,2}}'::real[]::vector$$),
    ($$SELECT '{NaN}'::double precision[]::vector$$),
    ($$SELECT '{-Infinity}'::real[]::vector$$),
    ($$SELECT '{1e39}'::double precision[]::vector$$),
    ($$SELECT '{1e39}'::numeric[]::vector$$),
    ($$SELECT '{Infinity}'::numeric[]::vector$$),
    ($$SELECT '{1,2}'::int[]::vector(3)$$),
    ($$SELECT array_fill(1, ARRAY[16001])::vector$$),
    ($$SELECT '{1}'::bigint[]::vector$$),
    ($$SELECT '{1}'::text[]::vector$$),
    ($$SELECT 1::vector$$),
    ($$SELECT '[1]'::jsonb::vector$$);

-- Operators and functions.
INSERT INTO malformed (statement) VALUES
    ($$SELECT '[1,2]'::vector <-> '[1]'$$),
    ($$SELECT '[1,2]'::vector <#> '[1]'$$),
    ($$SELECT '[1,2]'::vector <=> '[1]'$$),
    ($$SELECT '[1,2]'::vector <+> '[1]'$$),
    ($$SELECT '[1,2]'::vector + '[1]'$$),
    ($$SELECT '[1,2]'::vector - '[1]'$$),
    ($$SELECT '[1,2]'::vector * '[1]'$$),
    ($$SELECT '[1,2]'::vector / '[1,2]'$$),
    ($$SELECT '[1,2]'::vector <-> '{1,2}'::int[]$$),
    ($$SELECT '[1,2]'::vector <-> 'x'$$),
    ($$SELECT '[3e38]'::vector + '[3e38]'$$),
    ($$SELECT '[3e38]'::vector - '[-3e38]'$$),
    ($$SELECT '[1e20]'::vector * '[1e20]'$$),
    ($$SELECT '[1e-30]'::vector * '[1e-30]'$$),
    ($$SELECT array_fill(1, ARRAY[16000])::vector || '[1]'$$),
    ($$SELECT vector_l2_squared_distance('[1,2]', '[1]')$$),
    ($$SELECT vector_negative_inner_product('[1,2]', '[1]')$$),
    ($$SELECT vector_spherical_distance('[1,2]', '[1]')$$),
    ($$SELECT subvector('[1,2]'::vector, 3, 1)$$),
    ($$SELECT subvector('[1,2]'::vector, 1, 0)$$),
    ($$SELECT subvector('[1,2]'::vector, -5, 2)$$),
    ($$SELECT sum(x) FROM (VALUES ('[1]'::vector), ('[1,2]')) AS s (x)$$),
    ($$SELECT avg(x) FROM (VALUES ('[1]'::vector), ('[1,2]')) AS s (x)$$),
    ($$SELECT sum(x) FROM (VALUES ('[3e38]'::vector), ('[3e38]')) AS s (x)$$),
    ($$SELECT vector_accum('{}', '[1]')$$),
    ($$SELECT vector_accum('{{1,2}}', '[1]')$$),
    ($$SELECT vector_accum('{1,NULL}', '[1]')$$),
    ($$SELECT vector_accum('{1,1,1}', '[1]')$$),
    ($$SELECT vector_combine('{}', '{0}')$$),
    ($$SELECT vector_combine('{1,1.7e308}', '{1,1.7e308}')$$),
    ($$SELECT vector_combine('{1,1}', '{1,1,1}')$$),
    ($$SELECT vector_avg('{}')$$),
    ($$SELECT vector_avg('{1}')$$),
    ($$SELECT vector_avg('{0.001,1e300}')$$),
    ($$CREATE INDEX ON t USING gist (v)$$),
    ($$CREATE TABLE u (v vector(0))$$),
    ($$ALTER TABLE t ALTER w TYPE vector(16001)$$);
SELECT left(statement, 60) AS statement, try(statement) AS error FROM malformed ORDER BY id;

-- Binary messages: bytes of a field, as the client's driver would send them.
CREATE FUNCTION try_copy(field bytea, target text, claimed int DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    file bytea := '\x5047434f50590aff0d0a00' || '\x0000000000000000'::bytea || '\x0001'
        || int4send(coalesce(claimed, length(field))) || field || '\xffff';
    octal text := (SELECT string_agg('\' || lpad((b >> 6)::text, 1) || ((b >> 3) & 7) || (b & 7), '' ORDER BY i)
        FROM (SELECT i, get_byte(file, i) AS b FROM generate_series(0, length(file) - 1) AS i) AS s);
BEGIN
    RETURN try(format('COPY t (%s) FROM PROGRAM %L (FORMAT binary)', target, 'printf ''' || octal || ''''));
END
$$;
CREATE TABLE message (id int GENERATED ALWAYS AS IDENTITY, what text, field bytea, target text DEFAULT 'v', claimed int);
INSERT INTO message (what, field) VALUES
    ('control: a valid message', '\x000200003f80000040000000'),
    ('control: -0 and the smallest denormal', '\x000200008000000000000001'),
    ('nothing', '\x'),
    ('half a dimension', '\x00'),
    ('dimension only', '\x0001'),
    ('header only', '\x00010000'),
    ('dimension 0', '\x00000000'),
    ('dimension 0 and an element', '\x000000003f800000'),
    ('dimension -1', '\xffff00003f800000'),
    ('dimension -32768', '\x800000003f800000'),
    ('dimension 16001', '\x3e8100003f800000'),
    ('dimension 32767', '\x7fff00003f800000'),
    ('unused 1', '\x000100013f800000'),
    ('unused -1', '\x0001ffff3f800000'),
    ('one element of two', '\x000200003f800000'),
    ('element cut off', '\x000100003f8000'),
    ('one element too many', '\x000100003f8000003f800000'),
    ('one byte too many', '\x000100003f80000000'),
    ('NaN', '\x000100007fc00000'),
    ('signalling NaN', '\x000100007f800001'),
    ('negative NaN', '\x00010000ffc00000'),
    ('infinity', '\x000200003f8000007f800000'),
    ('negative infinity', '\x00010000ff800000'),
    ('text', '[1,2,3]'),
    ('little-endian', '\x010000000000803f');
INSERT INTO message (what, field, target) VALUES
    ('three elements for vector(2)', '\x000300003f8000003f8000003f800000', 'w');
INSERT INTO message (what, field, claimed) VALUES
    ('field longer than the file', '\x000100003f800000', 1000),
    ('negative field length', '\x000100003f800000', -2),
    ('field shorter than its vector', '\x000200003f8000003f800000', 8);
SELECT what, try_copy(field, target, claimed) AS error FROM message ORDER BY id;
SELECT * FROM t ORDER BY v;

-- Bytes that are no vector, behind a cast only a superuser can make: an error, not a crash.
CREATE CAST (bytea AS vector) WITHOUT FUNCTION;
SELECT what, try(format('SELECT (%L::bytea::vector)::text', field)) AS output,
       try(format('SELECT %L::bytea::vector <-> ''[1]''', field)) AS distance
    FROM (VALUES ('empty', '\x'::bytea), ('header cut off', '\x0101'), ('header only', '\x00000000'),
                 ('257 dimensions, one element', '\x0101000000000000'), ('negative', '\xffff000000000000'),
                 ('cut element', '\x01010000000000')) AS m (what, field);
DROP CAST (bytea AS vector);

DROP TABLE t, malformed, message;
DROP FUNCTION try_copy(bytea, text, int), try(text);
