-- Binary and text COPY bring every value back bit for bit.
CREATE TABLE t (id int, v vector);
INSERT INTO t VALUES (1, '[1,2,3]'), (2, '[0,-0]'), (3, NULL), (4, '[3.4028235e38,-1e-45,0.1]');
INSERT INTO t SELECT 5, array_agg(sin(i) ORDER BY i)::vector FROM generate_series(1, 16000) AS i;
CREATE TABLE back (LIKE t);
\copy t TO PROGRAM 'cat > "$PG_ABS_BUILDDIR/results/type_copy.bin"' WITH (FORMAT binary)
\copy back FROM PROGRAM 'cat "$PG_ABS_BUILDDIR/results/type_copy.bin"' WITH (FORMAT binary)
SELECT count(*), count(*) FILTER (WHERE vector_send(t.v) IS NOT DISTINCT FROM vector_send(back.v))
    FROM t JOIN back USING (id);
TRUNCATE back;
\copy t TO PROGRAM 'cat > "$PG_ABS_BUILDDIR/results/type_copy.txt"'
\copy back FROM PROGRAM 'cat "$PG_ABS_BUILDDIR/results/type_copy.txt"'
SELECT count(*), count(*) FILTER (WHERE vector_send(t.v) IS NOT DISTINCT FROM vector_send(back.v))
    FROM t JOIN back USING (id);
TRUNCATE back;
\copy t TO PROGRAM 'cat > "$PG_ABS_BUILDDIR/results/type_copy.csv"' WITH (FORMAT csv)
\copy back FROM PROGRAM 'cat "$PG_ABS_BUILDDIR/results/type_copy.csv"' WITH (FORMAT csv)
SELECT count(*), count(*) FILTER (WHERE vector_send(t.v) IS NOT DISTINCT FROM vector_send(back.v))
    FROM t JOIN back USING (id);
-- A declared dimension is checked on the way in.
CREATE TABLE narrow (id int, v vector(2));
\copy narrow FROM PROGRAM 'cat "$PG_ABS_BUILDDIR/results/type_copy.bin"' WITH (FORMAT binary)
SELECT count(*) FROM narrow;
DROP TABLE t, back, narrow;

-- Binary input says what is wrong with an element, and where bytes are missing.
CREATE TABLE bad (v vector);
\copy bad FROM PROGRAM 'printf "PGCOPY\n\377\r\n\000\000\000\000\000\000\000\000\000\000\001\000\000\000\014\000\002\000\000\077\200\000\000\177\200\000\000\377\377"' WITH (FORMAT binary)
\copy bad FROM PROGRAM 'printf "PGCOPY\n\377\r\n\000\000\000\000\000\000\000\000\000\000\001\000\000\000\014\000\002\000\000\177\300\000\000\077\200\000\000\377\377"' WITH (FORMAT binary)
\copy bad FROM PROGRAM 'printf "PGCOPY\n\377\r\n\000\000\000\000\000\000\000\000\000\000\001\000\000\000\010\000\002\000\000\077\200\000\000\377\377"' WITH (FORMAT binary)
\copy bad FROM PROGRAM 'printf "PGCOPY\n\377\r\n\000\000\000\000\000\000\000\000\000\000\001\000\000\000\014\000\002\000\000\077\200\000\000\300\000\000\000\377\377"' WITH (FORMAT binary)
SELECT v FROM bad;
DROP TABLE bad;
