-- What is held of each clause of these traces ($ids), of those that an expert has judged a clause of.
SELECT s.trace_id, s.verdict, s.raters, s.tie
FROM settled AS s
SEMI JOIN (FROM factuality) USING (trace_id)
WHERE s.trace_id IN (SELECT unnest($ids::VARCHAR[]))
ORDER BY s.trace_id, s.n, s.clause_id
