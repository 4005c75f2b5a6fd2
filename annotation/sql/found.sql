-- What is held of each clause of the traces that experts looked at, with what is asked for of the trace ({columns}).
-- Only traces that are not hidden; with $name, only those in that version of that dataset.
SELECT s.trace_id, s.clause_id, s.verdict, s.raters, s.tie, s.adjudicated, s.level, t.simulated {columns}
FROM settled AS s
SEMI JOIN factuality USING (trace_id)
JOIN traces AS t USING (trace_id)
{joins}
WHERE $name IS NULL OR s.trace_id IN (SELECT trace_id FROM members WHERE name = $name AND version = $version)
ORDER BY s.trace_id, s.n, s.clause_id
