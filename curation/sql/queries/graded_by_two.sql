-- Pairs of readable grades that two critics gave to the same trace, 1 terrible to 5 excellent, with how often each comes.
WITH steps AS (
    SELECT
        trace_id,
        critic,
        list_position(['terrible', 'bad', 'average', 'good', 'excellent'], graded.grade) AS step
    FROM critics
    SEMI JOIN traces USING (trace_id)
    WHERE graded.grade IS NOT NULL
)

SELECT a.critic AS critic, b.critic AS other, a.step AS x, b.step AS y, count(*) AS n
FROM steps AS a
JOIN steps AS b ON a.trace_id = b.trace_id AND a.critic < b.critic
GROUP BY ALL
ORDER BY ALL
