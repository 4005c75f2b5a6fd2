-- What decided, the commonest first.
SELECT fate, reason, count(*) AS n
FROM differing
GROUP BY ALL
ORDER BY fate, n DESC, reason
