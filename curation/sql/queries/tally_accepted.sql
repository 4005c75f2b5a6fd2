-- What a run's answers were read as: those that a dataset may hold by label, and the others by what is wrong with them.
SELECT what, what IN ('up', 'down', 'no change') AS kept, count(*) AS n
FROM (
    SELECT CASE
        WHEN NOT coalesce(t.valid, false) THEN 'unreadable'
        WHEN t.answer = 'I do not know' THEN 'abstained'
        WHEN t.approach = 'control' THEN 'control'
        WHEN t.answer <> e.label THEN 'wrong'
        WHEN t.answer = 'upregulated' THEN 'up'
        WHEN t.answer = 'downregulated' THEN 'down'
        ELSE 'no change'
    END AS what
    FROM raw.traces AS t
    JOIN raw.examples AS e USING (example_id)
    WHERE t.run_id = $run
)
GROUP BY what
ORDER BY list_position(['up', 'down', 'no change', 'control', 'wrong', 'abstained', 'unreadable'], what)
