-- What a run's answers were read as: how many of each grade, the best first.
SELECT what, what <> 'unreadable' AS kept, count(*) AS n
FROM (SELECT coalesce(grade, 'unreadable') AS what FROM raw.grades WHERE run_id = $run)
GROUP BY what
ORDER BY list_position(['excellent', 'good', 'average', 'bad', 'terrible', 'unreadable'], what)
