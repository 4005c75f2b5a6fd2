-- Rows added and removed by the critic that gave the newest grade.
SELECT split, critic,
    count(*) FILTER (fate = 'added') AS added,
    count(*) FILTER (fate = 'removed') AS removed
FROM differing
GROUP BY ALL
ORDER BY ALL
