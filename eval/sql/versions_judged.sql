-- What is held of each clause of the traces that are rows of a version, and were judged.
SELECT m.name || '@' || m.version AS version, s.trace_id, s.verdict, s.tie
FROM settled AS s
SEMI JOIN factuality USING (trace_id)
JOIN (SELECT DISTINCT name, version, trace_id FROM members) AS m USING (trace_id)
ORDER BY version, s.trace_id, s.n, s.clause_id
