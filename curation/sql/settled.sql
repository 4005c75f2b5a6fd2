-- What is held of each clause in `reviewed`: the verdict of who has the last word (adjudicated), else the one that most
-- annotators gave, else none: nobody judged it (raters 0), or as many gave another (tie). level: what most said it is about.
WITH counted AS (
    SELECT clause_id, verdict, count(*) AS n FROM ratings GROUP BY ALL
),

most AS (
    SELECT clause_id, CASE WHEN count(*) = 1 THEN any_value(verdict) END AS verdict
    FROM (FROM counted QUALIFY n = max(n) OVER (PARTITION BY clause_id))
    GROUP BY clause_id
),

levels AS (
    SELECT clause_id, CASE WHEN count(*) = 1 THEN any_value(level) END AS level
    FROM (
        SELECT clause_id, level, count(*) AS n FROM ratings WHERE level IS NOT NULL GROUP BY clause_id, level
        QUALIFY n = max(n) OVER (PARTITION BY clause_id)
    )
    GROUP BY clause_id
),

said AS (
    SELECT
        clause_id,
        count(*) AS raters,
        arg_max(verdict, {answered: answered, annotator: annotator}) FILTER (last_word) AS last
    FROM ratings
    GROUP BY clause_id
)

SELECT
    c.clause_id, c.trace_id, c.n,
    coalesce(s.last, m.verdict) AS verdict,
    coalesce(s.raters, 0) AS raters,
    s.raters IS NOT NULL AND coalesce(s.last, m.verdict) IS NULL AS tie,
    s.last IS NOT NULL AS adjudicated,
    l.level
FROM reviewed AS c
LEFT JOIN said AS s USING (clause_id)
LEFT JOIN most AS m USING (clause_id)
LEFT JOIN levels AS l USING (clause_id)
