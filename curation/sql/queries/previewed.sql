-- What a recipe chose for one split, counted; grade is null for rows without a trace and for traces without a grade.
SELECT
    e.cell_line, e.label, t.grade,
    count(*) FILTER (l.side = 'train') AS train,
    count(*) FILTER (l.side = 'validation') AS validation
FROM learned AS l
JOIN examples AS e USING (example_id)
LEFT JOIN narrowed AS t ON t.trace_id = l.trace_id AND t.split = $split
GROUP BY ALL
ORDER BY ALL
