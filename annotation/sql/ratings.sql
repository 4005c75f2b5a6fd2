-- The verdicts that count, a row a clause and annotator, with the level that is held of the clause.
WITH named AS (
    SELECT annotator, arg_max(annotator_name, answered) AS name FROM raw.verdicts GROUP BY annotator
)

SELECT
    r.trace_id, r.clause_id,
    -- two servers may each have an anna
    n.name || CASE WHEN count(DISTINCT n.annotator) OVER (PARTITION BY n.name) > 1 THEN ' ' || n.annotator ELSE '' END AS annotator,
    r.verdict, s.level
FROM ratings AS r
JOIN (SELECT annotator, coalesce(name, annotator) AS name FROM named) AS n USING (annotator)
JOIN settled AS s USING (clause_id)
SEMI JOIN traces AS t ON t.trace_id = r.trace_id
WHERE $name IS NULL OR r.trace_id IN (SELECT trace_id FROM members WHERE name = $name AND version = $version)
ORDER BY r.trace_id, r.clause_id, annotator
