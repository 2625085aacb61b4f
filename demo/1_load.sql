-- 10,000 Debian packages and 70 plain-English questions, each with an embedding: 384 numbers
-- that a language model gave its text. Texts that mean similar things have vectors that point
-- in similar directions.
CREATE EXTENSION hnsw;

CREATE TABLE packages (
    id             int PRIMARY KEY,
    name           text,
    section        text,
    installed_size int,          -- KiB
    embedding      vector(384)
);
\copy packages FROM PROGRAM 'gzip -dc packages.csv.gz' WITH (FORMAT csv, HEADER)

CREATE TABLE questions (id int PRIMARY KEY, query text, embedding vector(384));
\copy questions FROM queries.csv WITH (FORMAT csv, HEADER)

-- The ten nearest packages of every question, computed elsewhere: the yardstick for our own exact
-- search.
CREATE TABLE published (question int, rank int, package int, distance float8);
\copy published FROM top10.csv WITH (FORMAT csv, HEADER)

VACUUM ANALYZE;
