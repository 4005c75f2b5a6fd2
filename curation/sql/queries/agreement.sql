-- Pairs of critics that graded the same traces: the share of the same grade, the share at most one grade apart, and
-- Cohen's kappa with quadratic weights (Cohen 1968), which is 0 for agreement by chance and 1 for full agreement.
WITH steps AS (
    SELECT
        trace_id,
        critic,
        list_position(['terrible', 'bad', 'average', 'good', 'excellent'], graded.grade) AS step
    FROM critics
    SEMI JOIN traces USING (trace_id)
    WHERE graded.grade IS NOT NULL
),

pairs AS (
    SELECT a.critic AS critic, b.critic AS other, a.step AS x, b.step AS y
    FROM steps AS a
    JOIN steps AS b ON a.trace_id = b.trace_id AND a.critic < b.critic
)

SELECT
    critic,
    other,
    count(*) AS traces,
    count(*) FILTER (x = y) AS same,
    count(*) FILTER (abs(x - y) <= 1) AS near,
    1 - avg((x - y) ** 2) / nullif(var_pop(x) + var_pop(y) + (avg(x) - avg(y)) ** 2, 0) AS kappa
FROM pairs
GROUP BY critic, other
ORDER BY critic, other
