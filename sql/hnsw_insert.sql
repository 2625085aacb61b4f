-- INSERT: what a session keeps of an index from statement to statement follows every change of it.
CREATE FUNCTION vec(i int) RETURNS vector LANGUAGE sql IMMUTABLE AS
    $$ SELECT ARRAY[sin(i), cos(i * 1.7), sin(i * 0.31), cos(i * 2.3)]::float4[]::vector $$;
CREATE TABLE a (id int, e vector(4));
CREATE TABLE b (id int, e vector(4));
CREATE INDEX a_idx ON a USING hnsw (e vector_l2_ops) WITH (m = 6, ef_construction = 32);
CREATE INDEX b_idx ON b USING hnsw (e vector_cosine_ops);
CREATE PROCEDURE add(into_a int, into_b int, start int) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN start .. start + greatest(into_a, into_b) - 1 LOOP
        IF i < start + into_a THEN INSERT INTO a VALUES (i, vec(i)); END IF;
        IF i < start + into_b THEN INSERT INTO b VALUES (i, vec(i)); END IF;
    END LOOP;
END $$;
CREATE VIEW state AS
    SELECT (hnsw_stats('a_idx'::text::regclass)).rows AS a, (hnsw_stats('b_idx')).rows AS b,
        (SELECT count(*) FROM hnsw_check('a_idx'::text::regclass) WHERE severity = 'error') +
        (SELECT count(*) FROM hnsw_check('b_idx') WHERE severity = 'error') AS errors;
CALL add(400, 0, 1);
CALL add(50, 50, 1001);
SELECT * FROM state;
-- the index is built anew, with another centre and other options
REINDEX INDEX a_idx;
CALL add(50, 0, 2001);
ALTER INDEX a_idx SET (ef_construction = 40);
CALL add(50, 0, 3001);
BEGIN;
DROP INDEX a_idx;
CREATE INDEX a_idx ON a USING hnsw (e vector_ip_ops);
CALL add(50, 0, 4001);
TRUNCATE a;
CALL add(30, 0, 5001);
SELECT * FROM state;
ROLLBACK;
CALL add(50, 0, 6001);
SELECT * FROM state;
BEGIN;
TRUNCATE a;
CALL add(20, 0, 1);
TRUNCATE a;
CALL add(10, 10, 1);
COMMIT;
CALL add(300, 0, 7001);
SELECT * FROM state;
-- statements within statements, and errors caught in between
CREATE FUNCTION also() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id < 100000 THEN
        INSERT INTO a VALUES (NEW.id + 100000, vec(NEW.id + 1));
        INSERT INTO b VALUES (NEW.id + 100000, vec(NEW.id + 1));
        BEGIN
            INSERT INTO a VALUES (NEW.id + 200000, vec(NEW.id + 2)), (1, '[1,2]');
        EXCEPTION WHEN data_exception THEN
            NULL;
        END;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER also BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION also();
CALL add(20, 0, 8001);
INSERT INTO a SELECT i, vec(i) FROM generate_series(9001, 9020) i;
SELECT * FROM state;
SELECT count(*), count(*) FILTER (WHERE id >= 200000) AS undone FROM a;
-- an open cursor's statement has not ended
BEGIN;
CREATE FUNCTION put(i int) RETURNS int LANGUAGE sql AS $$ INSERT INTO b VALUES (i, vec(i)) RETURNING id $$;
DECLARE c CURSOR FOR SELECT put(i) FROM generate_series(10001, 10004) i;
FETCH 2 FROM c;
CALL add(0, 5, 11001);
FETCH 2 FROM c;
COMMIT;
SELECT * FROM state;
DROP TRIGGER also ON a;
DROP FUNCTION put, also;
DROP VIEW state;
DROP TABLE a, b;
DROP PROCEDURE add;
DROP FUNCTION vec;
