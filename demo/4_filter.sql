-- An ordinary WHERE clause. The index goes on searching until the LIMIT is filled, however few
-- rows pass.
SELECT name, section, installed_size AS "KiB",
       round((embedding <=> (SELECT embedding FROM questions WHERE query = 'plot scientific data'))::numeric, 3) AS distance
FROM packages
WHERE section = 'python' AND installed_size < 5000
ORDER BY embedding <=> (SELECT embedding FROM questions WHERE query = 'plot scientific data')
LIMIT 5;
