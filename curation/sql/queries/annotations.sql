-- What experts said of these traces ($ids), a row a clause and annotator, with what is held of the clause. Annotators are
-- numbered by when the store first heard of them, which no later verdict changes: no name and no id leaves the store.
WITH numbered AS (
    SELECT annotator, 'annotator-' || row_number() OVER (ORDER BY first, annotator) AS pseudonym
    FROM (SELECT annotator, min({created: created, answered: answered}) AS first FROM raw.verdicts GROUP BY annotator)
)

SELECT
    r.trace_id, r.clause_id, c.n, c.start_char, c.end_char, c.text,
    p.pseudonym AS annotator, r.verdict, r.level, r.round,
    s.verdict AS settled, s.tie, s.adjudicated
FROM ratings AS r
JOIN reviewed AS c USING (clause_id)
JOIN settled AS s USING (clause_id)
JOIN numbered AS p USING (annotator)
WHERE r.trace_id IN (SELECT unnest($ids::VARCHAR[]))
ORDER BY r.trace_id, c.n, r.clause_id, length(p.pseudonym), p.pseudonym
