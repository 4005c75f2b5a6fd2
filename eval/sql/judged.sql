-- The clauses of each prediction that an expert has judged a clause of, with what is held of each, as the view `settled`
-- has it of traces: the verdict of who has the last word, else the one that most annotators gave, else none (tie).
WITH said AS (
    SELECT
        v.clause_id, v.annotator,
        unnest(arg_max(
            {verdict: v.verdict, level: v.level, answered: v.answered}, {answered: v.answered, created: v.created}
        )),
        bool_or(r.last_word IS NOT NULL) AS last_word
    FROM verdicts AS v
    LEFT JOIN rounds AS r ON r.name = v.round AND r.last_word IN (v.annotator, v.annotator_name)
    WHERE v.status = 'submitted' AND v.verdict IN ('TRUE', 'FALSE', 'UNVERIFIABLE')
    GROUP BY v.clause_id, v.annotator
),

most AS (
    SELECT clause_id, CASE WHEN count(*) = 1 THEN any_value(verdict) END AS verdict
    FROM (
        SELECT clause_id, verdict, count(*) AS n FROM said GROUP BY clause_id, verdict
        QUALIFY n = max(n) OVER (PARTITION BY clause_id)
    )
    GROUP BY clause_id
),

held AS (
    SELECT
        clause_id,
        coalesce(arg_max(s.verdict, s.answered) FILTER (s.last_word), any_value(m.verdict)) AS verdict,
        mode(s.level) AS level
    FROM said AS s
    JOIN most AS m USING (clause_id)
    GROUP BY clause_id
)

SELECT
    c.subject_id AS trace_id, -- as `reviews.measure` calls whatever was written
    h.verdict,
    h.clause_id IS NOT NULL AND h.verdict IS NULL AS tie,
    h.level,
    coalesce(p.answer = e.label, false) AS correct
FROM (SELECT DISTINCT clause_id, subject_id, n FROM raw.clauses WHERE subject = 'prediction') AS c
JOIN predictions AS p ON p.prediction_id = c.subject_id
JOIN examples AS e USING (example_id)
LEFT JOIN held AS h USING (clause_id)
QUALIFY count(h.clause_id) OVER (PARTITION BY c.subject_id) > 0
ORDER BY c.subject_id, c.n, c.clause_id
