-- How each critic graded, by what the generator had been shown: the measured outcome, a wrong one, or none.
SELECT
    c.critic,
    CASE WHEN t.outcome_shown IS NULL THEN 'no outcome' WHEN t.outcome_shown = t.label THEN 'the measured outcome'
        ELSE 'a wrong outcome' END AS shown,
    coalesce(c.graded.grade, 'unreadable') AS grade,
    count(*) AS n
FROM critics AS c
JOIN traces AS t USING (trace_id)
GROUP BY ALL
ORDER BY critic, shown DESC, grade
