-- The clauses of a round with what an expert is shown of their texts' examples, in the order of the round.
WITH texts AS (
    SELECT trace_id AS subject_id, example_id FROM raw.traces
    UNION
    SELECT prediction_id, example_id FROM raw.predictions
)

SELECT
    p.clause_id, p.place, p.everybody, p.truth,
    c.subject, c.subject_id, c.n, c.text,
    e.pert, e.gene, e.cell_line
FROM placed AS p
JOIN clauses AS c USING (clause_id)
JOIN texts USING (subject_id)
JOIN examples AS e USING (example_id)
WHERE p.round = $round
ORDER BY p.place, c.n
