-- The latest answer a clause, round and annotator, by the server's own time; a draft after a verdict takes its place.
SELECT * FROM raw.verdicts
SEMI JOIN (
    SELECT clause_id, round, annotator, max(answered) AS answered FROM raw.verdicts GROUP BY ALL
) USING (clause_id, round, annotator, answered)
