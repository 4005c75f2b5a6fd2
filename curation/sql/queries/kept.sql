-- Of each split's train-side examples: how many were asked about, and how many have a trace that the paper's filter
-- (right answer, graded excellent) keeps. Controls left out.
WITH asked AS (
    SELECT DISTINCT subject_id AS example_id FROM requests WHERE stage = 'generate' AND prompt <> 'control'
),

kept AS (
    SELECT DISTINCT example_id FROM traces ANTI JOIN rejected USING (trace_id) WHERE approach <> 'control'
)

SELECT s.split, count(*) AS examples, count(a.example_id) AS asked, count(k.example_id) AS kept
FROM splits AS s
LEFT JOIN asked AS a USING (example_id)
LEFT JOIN kept AS k USING (example_id)
WHERE s.side = 'train'
GROUP BY s.split
ORDER BY s.split
