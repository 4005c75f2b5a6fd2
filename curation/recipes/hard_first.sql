-- Explanations, right and well graded, of the examples that the blind model gets wrong: the hardest first, up to n.
-- An example is the harder, the fewer of its blind samples are right; one that was never asked blind is left out.
-- $n = 1000: traces at most, a split
-- $below = 0.5: an example is hard if a smaller share of its blind samples is right; 1.01 takes all
-- $grade = 'good': the lowest grade
WITH hard AS (
    SELECT example_id, avg(correct::INT) AS solved
    FROM traces
    WHERE approach = 'blind'
    GROUP BY example_id
    HAVING solved < $below
)

SELECT trace_id
FROM candidates
JOIN hard USING (example_id)
WHERE approach = 'explain' AND answer = label AND at_least($grade)
QUALIFY top_per(example_id, 1, created)
ORDER BY solved, sha256(trace_id)
LIMIT $n
