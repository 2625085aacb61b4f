-- hnsw_check() and hnsw_stats() on sound indexes; t/*_check.pl corrupts pages.
CREATE TABLE t (id int, e vector(4));
CREATE INDEX t_idx ON t USING hnsw (e vector_cosine_ops) WITH (m = 5, ef_construction = 20);
SELECT * FROM hnsw_check('t_idx');
SELECT metric, dimensions, m, ef_construction, beam_factor >= 1 AS widened, reach, descent_width, code_bits > 0 AS coded,
    centres, rows, null_rows, zero_rows, duplicate_rows FROM hnsw_stats('t_idx');
SELECT nodes_per_level, links_per_level, degree_histogram, reserved_slots, used_slots,
    deleted_nodes, unreachable_nodes, free_records, unused_records FROM hnsw_stats('t_idx');
SELECT meta_bytes, base_bytes, upper_bytes, part_bytes, posting_bytes, tid_list_bytes,
    centre_bytes, directory_bytes, unused_bytes, total_bytes FROM hnsw_stats('t_idx');
INSERT INTO t SELECT i, ARRAY[sin(i), cos(i * 1.7), sin(i * 0.31), cos(i * 2.3)]::float4[]::vector
    FROM generate_series(1, 500) i;
INSERT INTO t SELECT i, '[1,2,3,4]' FROM generate_series(501, 600) i;
INSERT INTO t VALUES (601, NULL), (602, '[0,0,0,0]');
SELECT * FROM hnsw_check('t_idx') WHERE severity <> 'note';
SELECT * FROM hnsw_check('t_idx', false) WHERE severity <> 'note';
SELECT metric, dimensions, m, ef_construction, rows, null_rows, zero_rows, duplicate_rows,
    nodes_per_level[1] AS nodes, deleted_nodes, unreachable_nodes FROM hnsw_stats('t_idx');
SELECT used_slots = (SELECT sum(l) FROM unnest(links_per_level) l) AS links_add_up,
    used_slots <= reserved_slots AS fits,
    (SELECT sum(h) FROM unnest(degree_histogram[1:1]) h) = nodes_per_level[1] AS degrees_add_up,
    array_length(degree_histogram, 2) <= 11 AS at_most_2m,
    total_bytes = pg_relation_size('t_idx') AS bytes_add_up
    FROM hnsw_stats('t_idx');
-- hnsw_prewarm() reads as much as shared buffers hold
SELECT hnsw_prewarm('t_idx') * 8192 = pg_relation_size('t_idx') AS reads_all;
-- rows dead, rolled back, updated
BEGIN;
INSERT INTO t VALUES (700, '[9,9,9,9]');
ROLLBACK;
DELETE FROM t WHERE id BETWEEN 100 AND 150;
UPDATE t SET e = '[4,3,2,1]' WHERE id BETWEEN 200 AND 210;
UPDATE t SET id = id + 1000 WHERE id BETWEEN 300 AND 310;
SELECT * FROM hnsw_check('t_idx') WHERE severity <> 'note';
VACUUM t;
SELECT * FROM hnsw_check('t_idx') WHERE severity <> 'note';
-- a partial index is compared with its rows only
CREATE INDEX t_part ON t USING hnsw (e vector_l2_ops) WHERE id < 50;
SELECT * FROM hnsw_check('t_part') WHERE severity <> 'note';
-- the same of a row that came in behind the index's back
CREATE FUNCTION small(i int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN RETURN i < coalesce(nullif(current_setting('test.small_limit', true), ''), '50')::int; END $$;
CREATE INDEX t_fickle ON t USING hnsw (e vector_l2_ops) WHERE small(id);
SET test.small_limit = 52;
SELECT severity, code, block, node, regexp_replace(detail, '\(.*\)', '(...)') AS detail
    FROM hnsw_check('t_fickle') WHERE severity = 'error';
SELECT count(*) FROM hnsw_check('t_fickle', false) WHERE severity = 'error';
RESET test.small_limit;
DROP TABLE t;
DROP FUNCTION small;
-- how far searches go is measured where there are rows enough, and distances that cannot be negative
CREATE TABLE measured (e vector(4));
INSERT INTO measured SELECT ARRAY[sin(i), cos(i * 1.7), sin(i * 0.31), cos(i * 2.3)]::float4[]::vector
    FROM generate_series(1, 1500) i;
CREATE INDEX measured_l2 ON measured USING hnsw (e vector_l2_ops);
CREATE INDEX measured_ip ON measured USING hnsw (e vector_ip_ops);
SELECT beam_factor BETWEEN 1 AND 2 AS widened, reach BETWEEN 1.01 AND 1.5 AS reaches FROM hnsw_stats('measured_l2');
SELECT beam_factor BETWEEN 1 AND 2 AS widened, reach FROM hnsw_stats('measured_ip');
DROP TABLE measured;
