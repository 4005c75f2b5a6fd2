-- The latest row a grade, but for hidden runs and traces.
WITH shown AS (
    SELECT * FROM raw.grades
    ANTI JOIN (SELECT subject AS run_id FROM exclusions WHERE kind = 'run') USING (run_id)
    ANTI JOIN (SELECT subject AS trace_id FROM exclusions WHERE kind = 'trace') USING (trace_id)
)

SELECT * FROM shown
SEMI JOIN (SELECT grade_id, max(created) AS created FROM shown GROUP BY grade_id) USING (grade_id, created)
