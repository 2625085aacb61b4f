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
