-- How annotators judged clauses whose truth is known, in the rounds where these were placed: a row an annotator, by the
-- latest verdict on each clause.
WITH known AS (SELECT DISTINCT round, clause_id, truth FROM placed WHERE truth IN ('TRUE', 'FALSE')),

judged AS (
    SELECT
        v.annotator,
        arg_max(v.annotator_name, v.answered) AS name,
        arg_max(v.verdict, v.answered) AS verdict,
        arg_max(k.truth, v.answered) AS truth
    FROM verdicts AS v
    JOIN known AS k USING (round, clause_id)
    WHERE v.status = 'submitted' AND v.verdict IS NOT NULL
    GROUP BY v.annotator, v.clause_id
)

SELECT
    coalesce(any_value(name), annotator) AS annotator,
    count(*) AS n,
    count(*) FILTER (verdict = truth) AS correct,
    count(*) FILTER (verdict = 'UNVERIFIABLE') AS unverifiable,
    count(*) FILTER (verdict = 'TRUE' AND truth = 'FALSE') AS passed_false,
    count(*) FILTER (verdict = 'FALSE' AND truth = 'TRUE') AS failed_true
FROM judged
GROUP BY judged.annotator
ORDER BY 1
