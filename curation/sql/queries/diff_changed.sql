-- What changed of the rows that both versions have, from what to what, the commonest first.
SELECT split, what, old AS "from", new AS "to", count(*) AS n
FROM altered
GROUP BY ALL
ORDER BY split, n DESC, what, old, new
