-- The latest answer a clause, round and annotator, by the server's own time, but for hidden pulls; a draft after a verdict
-- takes its place.
WITH shown AS (
    SELECT * FROM raw.verdicts
    ANTI JOIN (SELECT subject AS run_id FROM exclusions WHERE kind = 'run') USING (run_id)
)

SELECT * FROM shown
SEMI JOIN (
    SELECT clause_id, round, annotator, max(answered) AS answered FROM shown GROUP BY ALL
) USING (clause_id, round, annotator, answered)
