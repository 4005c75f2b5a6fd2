-- The traces that anything was written about between two snapshots, from the files that only one of them has.
WITH hidden AS (SELECT kind, subject FROM new_exclusions)

SELECT trace_id FROM new_traces
UNION
SELECT trace_id FROM new_grades
UNION
SELECT subject FROM hidden WHERE kind = 'trace'
UNION
SELECT trace_id FROM raw.traces SEMI JOIN (SELECT subject AS run_id FROM hidden WHERE kind = 'run') USING (run_id)
UNION
SELECT trace_id FROM raw.grades SEMI JOIN (SELECT subject AS run_id FROM hidden WHERE kind = 'run') USING (run_id)
UNION
SELECT subject_id FROM new_clauses WHERE subject = 'trace'
UNION
SELECT subject_id FROM raw.clauses
SEMI JOIN new_verdicts USING (clause_id)
WHERE subject = 'trace'
