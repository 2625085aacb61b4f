-- Partitioned tables: an index per partition, one ordered answer.
CREATE TABLE p (id int, region int, e vector(3)) PARTITION BY LIST (region);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
INSERT INTO p SELECT i, 1 + i % 2, ARRAY[i, i % 5, 1]::vector FROM generate_series(1, 200) i;
CREATE INDEX p_idx ON p USING hnsw (e vector_l2_ops) WITH (m = 4, ef_construction = 16);
CREATE TABLE p3 PARTITION OF p FOR VALUES IN (3);
INSERT INTO p SELECT i, 3, ARRAY[i, i % 5, 1]::vector FROM generate_series(201, 300) i;
SELECT indexrelid::regclass FROM pg_index
    WHERE indrelid = ANY (ARRAY['p1', 'p2', 'p3']::regclass[]) ORDER BY indexrelid::regclass::text;
SET enable_seqscan = off;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT id FROM p ORDER BY e <-> '[201,1,1]' LIMIT 5;
SELECT id FROM p ORDER BY e <-> '[200.9,1,1]' LIMIT 5;
SELECT count(*) FROM (SELECT id FROM p ORDER BY e <-> '[201,1,1]') s;
SELECT id FROM p WHERE region = 3 ORDER BY e <-> '[100,0,1]' LIMIT 2;
UPDATE p SET region = 1 WHERE id = 201;
SELECT id, region FROM p ORDER BY e <-> '[201,1,1]' LIMIT 1;
ALTER TABLE p DETACH PARTITION p3;
SELECT count(*) FROM (SELECT id FROM p ORDER BY e <-> '[201,1,1]') s;
SELECT id FROM p3 ORDER BY e <-> '[300,0,1]' LIMIT 1;
ALTER TABLE p ATTACH PARTITION p3 FOR VALUES IN (3);
SELECT count(*) FROM (SELECT id FROM p ORDER BY e <-> '[201,1,1]') s;
SELECT c.* FROM unnest(ARRAY['p1_e_idx', 'p2_e_idx', 'p3_e_idx']::regclass[]) i, hnsw_check(i) c
    WHERE severity = 'error';
-- inheritance
CREATE TABLE parent (id int, e vector(2));
CREATE TABLE child () INHERITS (parent);
CREATE INDEX ON parent USING hnsw (e vector_l2_ops);
CREATE INDEX ON child USING hnsw (e vector_l2_ops);
INSERT INTO parent VALUES (1, '[1,1]'), (2, '[3,3]');
INSERT INTO child VALUES (3, '[2,2]'), (4, '[4,4]');
EXPLAIN (COSTS OFF) SELECT id FROM parent ORDER BY e <-> '[0,0]';
SELECT id FROM parent ORDER BY e <-> '[0,0]';
DROP TABLE p, parent, child;

-- What CREATE INDEX refuses on a plain table it refuses on a partitioned one, before that has any
-- partition, in the same words.
CREATE TABLE plain (id int, region int, e vector(3), bare vector, places point[]);
CREATE TABLE parted (LIKE plain) PARTITION BY LIST (region);
-- The first statement of a session: it loads the library.
\c
CREATE INDEX parted_idx ON parted USING hnsw (region);
CREATE INDEX parted_idx ON ONLY parted USING hnsw (region, e vector_l2_ops);
CREATE OPERATOR CLASS unknown_ops FOR TYPE vector USING hnsw AS
    OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
    FUNCTION 1 l2_distance(vector, vector);
CREATE FUNCTION refusal(relation text, columns text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE message text; detail text; hint text;
BEGIN
    EXECUTE format('CREATE INDEX refused_idx ON %s USING hnsw %s', relation, columns);
    RETURN 'none';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
        hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', SQLSTATE, message, NULLIF(detail, ''), NULLIF(hint, ''));
END $$;
\pset format unaligned
SELECT columns, refusal('parted', columns),
        refusal('parted', columns) = refusal('plain', columns) AS same
    FROM (VALUES
        (1, '(region)'),
        (2, '(region, e vector_l2_ops)'),
        (3, '(bare vector_l2_ops)'),
        (4, '(e vector_l2_ops, e vector_ip_ops)'),
        (5, '(e vector_l2_ops' || repeat(', id', 9) || ')'),
        (6, '(e vector_l2_ops, places)'),
        (7, '(e unknown_ops)'),
        (8, '(e)'),
        (9, '(e vector_l2_ops) INCLUDE (id)'),
        (10, '(e vector_l2_ops) WITH (m = 1)'),
        (11, '(e vector_l2_ops) WITH (m = 16, ef_construction = 31)')) c (n, columns)
    ORDER BY n;
\pset format aligned
SELECT count(*) FROM pg_class WHERE relname IN ('parted_idx', 'refused_idx');
-- What a plain table accepts.
CREATE INDEX cast_idx ON parted USING hnsw ((bare::vector(2)) vector_l2_ops, region);
CREATE INDEX partial_idx ON parted USING hnsw (e vector_cosine_ops) WHERE id > 0;
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1) PARTITION BY RANGE (id);
CREATE TABLE parted_1_low PARTITION OF parted_1 FOR VALUES FROM (0) TO (10);
-- Partitions that come with an index of their own.
CREATE INDEX parted_idx ON ONLY parted USING hnsw (e vector_l2_ops, region);
CREATE INDEX parted_1_idx ON ONLY parted_1 USING hnsw (e vector_l2_ops, region);
CREATE INDEX parted_1_low_idx ON parted_1_low USING hnsw (e vector_l2_ops, region);
ALTER INDEX parted_idx ATTACH PARTITION parted_1_idx;
SELECT indisvalid FROM pg_index WHERE indexrelid = 'parted_idx'::regclass;
ALTER INDEX parted_1_idx ATTACH PARTITION parted_1_low_idx;
SELECT indisvalid FROM pg_index WHERE indexrelid = 'parted_idx'::regclass;
INSERT INTO parted VALUES (1, 1, '[1,1,1]', '[1,1]'), (2, 1, '[2,2,2]', '[2,2]');
CREATE TABLE parted_2 (LIKE plain INCLUDING ALL);
CREATE INDEX parted_2_idx ON parted_2 USING hnsw (e vector_l2_ops, region);
ALTER TABLE parted ATTACH PARTITION parted_2 FOR VALUES IN (2);
SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'parted_idx'::regclass
    ORDER BY inhrelid::regclass::text;
SET enable_seqscan = off;
SELECT id FROM parted WHERE region = 1 ORDER BY e <-> '[2,2,2]' LIMIT 1;
-- An index that is made anew with its column.
ALTER TABLE parted ALTER COLUMN e TYPE vector;
SELECT id FROM parted WHERE region = 1 ORDER BY e <-> '[2,2,2]' LIMIT 1;
ALTER TABLE parted ALTER COLUMN e TYPE vector(2) USING subvector(e, 1, 2);
SELECT id FROM parted WHERE region = 1 ORDER BY e <-> '[2,2]' LIMIT 1;
DROP OPERATOR FAMILY unknown_ops USING hnsw;
DROP TABLE plain, parted;
DROP FUNCTION refusal;
