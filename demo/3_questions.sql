-- Asks all questions with exact search, then with the index, and keeps the answers.
CREATE TABLE answers (
    way       text,
    question  int,
    names     text[],
    distances float8[],
    ms        float8,
    PRIMARY KEY (way, question)
);

CREATE PROCEDURE ask_all(way text) LANGUAGE plpgsql AS $$
DECLARE
    q         questions;
    names     text[];
    distances float8[];
    started   timestamptz;
BEGIN
    FOR q IN SELECT * FROM questions ORDER BY id LOOP
        started := clock_timestamp();
        -- This is the search: the ten packages nearest to the question.
        EXECUTE 'SELECT array_agg(name), array_agg(distance)
                 FROM (SELECT name, embedding <=> $1 AS distance
                       FROM packages
                       ORDER BY embedding <=> $1
                       LIMIT 10) AS nearest'
            INTO names, distances USING q.embedding;
        INSERT INTO answers VALUES (way, q.id, names, distances,
            extract(epoch FROM clock_timestamp() - started) * 1000);
    END LOOP;
END $$;

SET enable_indexscan = off;     -- exact: looks at every row
CALL ask_all('exact');
RESET enable_indexscan;
CALL ask_all('index');

-- recall@10: how many of the ten answers are as near as the ten nearest there are. Some packages
-- describe themselves in the same words, so what counts is the distance and not the name.
CREATE VIEW report AS
SELECT q.id, q.query, i.names, i.ms, e.ms AS exact_ms,
       (SELECT count(*) FROM unnest(i.distances) AS d WHERE d <= e.distances[10] + 1e-9) / 10.0 AS recall
FROM questions q
JOIN answers i ON i.question = q.id AND i.way = 'index'
JOIN answers e ON e.question = q.id AND e.way = 'exact';

SELECT query AS "question",
       CASE WHEN length(array_to_string(names[1:3], ', ')) <= 60 THEN array_to_string(names[1:3], ', ')
            ELSE left(array_to_string(names[1:3], ', '), 57) || '...' END AS "nearest packages",
       to_char(ms, '990.00') AS "ms",
       to_char(recall, '0.00') AS "recall@10",
       to_char(exact_ms, '990.00') AS "exact ms"
FROM report ORDER BY id;

SELECT count(*) AS "questions",
       round(avg(recall), 4) AS "mean recall@10",
       to_char(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms), '990.00') AS "median ms",
       to_char(percentile_cont(0.5) WITHIN GROUP (ORDER BY exact_ms), '990.00') AS "median exact ms"
FROM report;
