-- What CREATE INDEX, scans and inserts refuse, and how they say so.
\pset format unaligned
CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        -- version 18 says so where a plan had to use what is switched off
        IF line !~ 'Disabled: true' THEN RETURN NEXT line; END IF;
    END LOOP;
END $$;
CREATE TABLE t (id int, e vector(3), bare vector, txt text);
INSERT INTO t VALUES (1, '[1,2,3]', '[1,2]', 'a');

CREATE INDEX ON t USING hnsw (e);
CREATE INDEX ON t USING hnsw (bare vector_l2_ops);
CREATE INDEX ON t USING hnsw (txt vector_l2_ops);
CREATE INDEX ON t USING hnsw (txt);
CREATE INDEX ON t USING hnsw (e vector_l2_ops, id);
CREATE INDEX ON t USING hnsw (e vector_l2_ops, e vector_ip_ops);
CREATE INDEX ON t USING hnsw (e vector_l2_ops) INCLUDE (id);
CREATE UNIQUE INDEX ON t USING hnsw (e vector_l2_ops);
CREATE INDEX ON t USING hnsw (e vector_l2_ops DESC);
CREATE INDEX ON t USING hnsw (e nosuch_ops);
CREATE INDEX ON t USING hnsw (e vector_l2_ops) WITH (m = 1);
CREATE INDEX ON t USING hnsw (e vector_l2_ops) WITH (m = 101);
CREATE INDEX ON t USING hnsw (e vector_l2_ops) WITH (ef_construction = 3);
CREATE INDEX ON t USING hnsw (e vector_l2_ops) WITH (ef_construction = 1001);
CREATE INDEX ON t USING hnsw (e vector_l2_ops) WITH (m = 16, ef_construction = 31);
CREATE INDEX ON t USING hnsw (e vector_l2_ops) WITH (m = 40);
CREATE INDEX ON t USING hnsw (e vector_l2_ops) WITH (fillfactor = 70);
CREATE INDEX ON t USING hnsw (e vector_l2_ops) WITH (m = 'many');

CREATE INDEX t_idx ON t USING hnsw (e vector_l2_ops);
ALTER INDEX t_idx SET (m = 64);
ALTER INDEX t_idx SET (m = 64, ef_construction = 128);
ALTER INDEX t_idx RESET (ef_construction);
ALTER INDEX t_idx RESET (m, ef_construction);
CLUSTER t USING t_idx;
SET enable_seqscan = off;
SELECT id FROM t ORDER BY e <-> '[1,2]' LIMIT 1;
SELECT id FROM t ORDER BY e <-> '[1,2,3,4]'::vector(4) LIMIT 1;
SELECT id FROM t ORDER BY e <-> '[1,2,3,x]' LIMIT 1;
INSERT INTO t (e) VALUES ('[1,2]');
UPDATE t SET e = '[1,2,3,4]';

-- a query without ORDER BY, or in another order, never uses it
SELECT plan('SELECT id FROM t');
SELECT plan('SELECT id FROM t WHERE e = ''[1,2,3]''');
SELECT plan('SELECT id FROM t ORDER BY e <-> ''[1,2,3]'' DESC LIMIT 1');
SELECT plan('SELECT id FROM t ORDER BY e LIMIT 1');

-- the looking-in functions
SELECT * FROM hnsw_check('t');
SELECT * FROM hnsw_stats('pg_class_oid_index');
SELECT hnsw_prewarm('pg_class_oid_index');
SELECT * FROM hnsw_stats('nosuch');
SELECT * FROM hnsw_stats(0);
CREATE TABLE p (e vector(3)) PARTITION BY RANGE (e);
CREATE INDEX p_idx ON p USING hnsw (e vector_l2_ops);
SELECT * FROM hnsw_check('p_idx');
CREATE ROLE regress_hnsw_reader;
SET ROLE regress_hnsw_reader;
SELECT count(*) FROM hnsw_check('t_idx');
SELECT dimensions FROM hnsw_stats('t_idx');
SELECT hnsw_prewarm('t_idx');
RESET ROLE;
GRANT SELECT ON t TO regress_hnsw_reader;
SET ROLE regress_hnsw_reader;
SELECT dimensions FROM hnsw_stats('t_idx');
RESET ROLE;
REVOKE SELECT ON t FROM regress_hnsw_reader;
GRANT pg_stat_scan_tables TO regress_hnsw_reader;
GRANT EXECUTE ON FUNCTION hnsw_check TO regress_hnsw_reader;
SET ROLE regress_hnsw_reader;
SELECT dimensions FROM hnsw_stats('t_idx');
SELECT count(*) FROM hnsw_check('t_idx');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION hnsw_check FROM regress_hnsw_reader;
DROP ROLE regress_hnsw_reader;

-- operator classes are validated
SELECT opcname, amvalidate(o.oid) FROM pg_opclass o JOIN pg_am a ON a.oid = opcmethod
    WHERE amname = 'hnsw' ORDER BY opcname;
CREATE OPERATOR CLASS wrong_ops FOR TYPE vector USING hnsw AS
    OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
    FUNCTION 1 vector_negative_inner_product(vector, vector);
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'wrong_ops';
CREATE OPERATOR CLASS unknown_ops FOR TYPE vector USING hnsw AS
    OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
    FUNCTION 1 l2_distance(vector, vector);
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'unknown_ops';
CREATE INDEX ON t USING hnsw (e unknown_ops);
CREATE OPERATOR CLASS search_ops FOR TYPE vector USING hnsw AS
    OPERATOR 1 = (vector, vector),
    OPERATOR 2 <-> (vector, vector) FOR ORDER BY float_ops,
    FUNCTION 1 vector_norm(vector);
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'search_ops';
SELECT pg_index_column_has_property('t_idx', 1, 'distance_orderable') AS distance_orderable,
    pg_index_column_has_property('t_idx', 1, 'orderable') AS orderable,
    pg_index_has_property('t_idx', 'index_scan') AS index_scan,
    pg_index_has_property('t_idx', 'bitmap_scan') AS bitmap_scan,
    pg_index_has_property('t_idx', 'backward_scan') AS backward_scan;

DROP OPERATOR FAMILY wrong_ops USING hnsw;
DROP OPERATOR FAMILY unknown_ops USING hnsw;
DROP OPERATOR FAMILY search_ops USING hnsw;
DROP TABLE t, p;
DROP FUNCTION plan;
