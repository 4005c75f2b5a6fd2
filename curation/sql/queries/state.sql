-- What these traces were at one snapshot: whether they were there, hidden and by which words, and what a dataset's row or
-- a recipe's condition takes from them. Texts are left to reread.sql and rejudged.sql: they are wide, and few rows' are asked for.
WITH hidden AS (
    SELECT trace_id, arg_max(reason, created) AS why FROM (
        SELECT subject AS trace_id, reason, created FROM exclusions WHERE kind = 'trace'
        UNION ALL
        SELECT t.trace_id, x.reason, x.created
        FROM raw.traces AS t
        JOIN exclusions AS x ON x.kind = 'run' AND x.subject = t.run_id
    )
    GROUP BY trace_id
)

SELECT
    k.trace_id,
    r.trace_id IS NOT NULL AS asked,
    h.why AS hidden,
    t.trace_id IS NOT NULL AS seen,
    t.created AS read_at, t.think, t.reason, t.parser, t.answer, t.grade, t.critic, t.factuality, t.clauses_rated, t.clauses_false,
    t.simulated, t.generator, t.approach {more}
FROM touched AS k
LEFT JOIN (SELECT DISTINCT trace_id FROM raw.traces) AS r USING (trace_id)
LEFT JOIN hidden AS h USING (trace_id)
LEFT JOIN traces AS t USING (trace_id)
