-- Vectors stored out of line: each is fetched once for the calls that follow, and always the right one.
CREATE FUNCTION wide(n float8) RETURNS vector LANGUAGE sql IMMUTABLE AS
$$ SELECT array(SELECT sin(n * 7 + i)::real FROM generate_series(1, 1500) i)::vector $$;
CREATE TABLE t (id int PRIMARY KEY, e vector(1500));
INSERT INTO t SELECT n, wide(n) FROM generate_series(1, 60) n;
SELECT pg_relation_size(reltoastrelid) > 60 * 6000 AS out_of_line FROM pg_class WHERE relname = 't';
CREATE INDEX ON t USING hnsw (e vector_l2_ops);

-- More rows than are kept, their distances computed for the order and for the target list.
SET enable_seqscan = off;
SET enable_sort = off;
CREATE TABLE by_index AS
SELECT id, e <-> wide(3.5) AS d, l2_norm(e) AS norm FROM t ORDER BY e <-> wide(3.5) LIMIT 40;
RESET enable_sort;
SET enable_indexscan = off;
SELECT count(*), bool_and(i.d = wide(t.id) <-> wide(3.5)) AS same_distance,
       bool_and(i.norm = l2_norm(wide(t.id))) AS same_norm
FROM by_index i JOIN t USING (id);
SELECT count(*) FROM (SELECT id FROM t ORDER BY e <-> wide(3.5), id LIMIT 40) s
JOIN by_index USING (id);
RESET enable_indexscan;
RESET enable_seqscan;

-- A row that changes within a transaction, and changes back.
BEGIN;
SELECT e <-> wide(1) AS before FROM t WHERE id = 1;
UPDATE t SET e = wide(2) WHERE id = 1;
SELECT e <-> wide(1) > 1 AS changed, e <-> wide(2) AS after FROM t WHERE id = 1;
SAVEPOINT s;
UPDATE t SET e = wide(3) WHERE id = 1;
SELECT e <-> wide(3) AS within FROM t WHERE id = 1;
ROLLBACK TO s;
SELECT e <-> wide(2) AS again FROM t WHERE id = 1;
ROLLBACK;
SELECT e <-> wide(1) AS as_before FROM t WHERE id = 1;

-- An error on the way leaves nothing behind that a later call would take for a vector.
SELECT e <-> '[1,2]' FROM t WHERE id = 2;
SELECT e <-> wide(2) AS right_after FROM t WHERE id = 2;

-- Where values lie is remembered. They are found again, also when they are elsewhere.
CREATE FUNCTION wrong() RETURNS bigint LANGUAGE sql AS
$$ SELECT count(*) FROM t WHERE e <-> wide(id) <> 0 $$;
SELECT wrong() AS first, wrong() AS remembered;
VACUUM FULL t;
SELECT wrong() AS rewritten, wrong() AS remembered;
UPDATE t SET e = wide(id + 100), id = id + 100 WHERE id % 2 = 0;
SELECT wrong() AS updated;
VACUUM t;
UPDATE t SET e = wide(id - 1), id = id - 1 WHERE id > 100;
SELECT wrong() AS reused, wrong() AS remembered;
DELETE FROM t WHERE id > 50;
VACUUM t;
SELECT count(*), wrong() FROM t;
TRUNCATE t;
INSERT INTO t SELECT n, wide(n) FROM generate_series(1, 20) n;
SELECT wrong() AS truncated, wrong() AS remembered;

-- More chunks than are remembered, and compressed ones.
CREATE TABLE other (id int, e vector(9000));
INSERT INTO other SELECT n, array(SELECT sin(n * 7 + i)::real FROM generate_series(1, 9000) i)::vector
FROM generate_series(1, 3) n;
ALTER TABLE other ALTER e SET STORAGE EXTENDED;
INSERT INTO other SELECT n, array(SELECT n FROM generate_series(1, 9000) i)::vector
FROM generate_series(4, 6) n;
SELECT id, pg_column_size(e) < 9000 AS compressed, round(l2_norm(e)::numeric, 3) AS norm,
       round((e <-> array_fill(id, ARRAY[9000])::vector)::numeric, 3) AS distance
FROM other ORDER BY id;
DROP TABLE other;

-- Vectors behind columns of any length, and in several pages: what a scan asks for ahead is the right
-- vector or none.
CREATE FUNCTION long(n float8) RETURNS vector LANGUAGE sql IMMUTABLE AS
$$ SELECT array(SELECT sin(n * 7 + i)::real FROM generate_series(1, 3900) i)::vector $$;
CREATE TABLE behind (gone int, id int, note text, num numeric, e vector(3900));
ALTER TABLE behind ALTER note SET STORAGE PLAIN;
INSERT INTO behind SELECT n, n, CASE WHEN n % 3 > 0 THEN repeat('x', n * 9) END, n / 7.0,
       CASE WHEN n % 10 > 0 THEN long(n) END
FROM generate_series(1, 60) n;
ALTER TABLE behind DROP gone;
CREATE INDEX ON behind USING hnsw (e vector_l2_ops);
CREATE FUNCTION same(v vector) RETURNS vector LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN v; END $$;
CREATE INDEX ON behind USING hnsw ((same(e)::vector(3900)) vector_l2_ops);
SET enable_seqscan = off;
SELECT count(*), count(*) FILTER (WHERE d <> e <-> long(30.5)) AS wrong
FROM (SELECT e, e <-> long(30.5) AS d FROM behind ORDER BY e <-> long(30.5) LIMIT 54) s;
SELECT count(*), count(*) FILTER (WHERE d <> e <-> long(30.5)) AS wrong
FROM (SELECT e, e <-> long(30.5) AS d FROM behind ORDER BY e <-> long(30.5) LIMIT 54) s;
SELECT count(*) FROM (SELECT id FROM behind
    ORDER BY same(e)::vector(3900) <-> long(30.5) LIMIT 54) s;
RESET enable_seqscan;
DROP TABLE behind;
DROP FUNCTION same;

DROP TABLE by_index, t;
DROP FUNCTION wrong, wide, long;
