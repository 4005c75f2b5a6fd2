-- Rows added and removed by class.
SELECT split, cell_line, label, grade,
    count(*) FILTER (fate = 'added') AS added,
    count(*) FILTER (fate = 'removed') AS removed
FROM differing
GROUP BY ALL
ORDER BY ALL
