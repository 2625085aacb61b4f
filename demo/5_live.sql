-- Changes are visible to the next search, at once. The new package gets the very embedding of a
-- question, so it must be that question's first answer.
CREATE FUNCTION first_answer(question text) RETURNS text LANGUAGE sql AS $$
    SELECT name FROM packages
    ORDER BY embedding <=> (SELECT embedding FROM questions WHERE query = question)
    LIMIT 1
$$;
CREATE TABLE steps (step serial, did text, chess text, weather text);
CREATE PROCEDURE look(did text) LANGUAGE sql AS $$
    INSERT INTO steps (did, chess, weather) VALUES (did,
        first_answer('play chess against the computer'), first_answer('show the weather forecast'))
$$;

CALL look('at first');

INSERT INTO packages
SELECT 10000, 'brand-new-package', 'games', 1, embedding
FROM questions WHERE query = 'play chess against the computer';
CALL look('INSERT with the embedding of the chess question');

UPDATE packages
SET embedding = (SELECT embedding FROM questions WHERE query = 'show the weather forecast')
WHERE id = 10000;
CALL look('UPDATE to the embedding of the weather question');

DELETE FROM packages WHERE id = 10000;
CALL look('DELETE');

SELECT did AS "after", chess AS "first for chess", weather AS "first for weather"
FROM steps ORDER BY step;

DO $$
BEGIN
    ASSERT (SELECT array_agg(chess = 'brand-new-package' ORDER BY step) FROM steps) = '{f,t,f,f}',
        'the chess question must find the new package after the INSERT, and only then';
    ASSERT (SELECT array_agg(weather = 'brand-new-package' ORDER BY step) FROM steps) = '{f,f,t,f}',
        'the weather question must find the new package after the UPDATE, and only then';
END $$;
