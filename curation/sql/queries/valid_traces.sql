-- The valid traces on the train side of a split, in the order of their examples' places, with the query that their
-- example makes. Two traces may hold the same words: `copy` numbers them, so that each is asked for itself. A trace
-- that was rehearsed is for a rehearsed critic alone, and a control for who asks for controls: they test the critic.
SELECT
    trace_id, cell_line, pert, gene, reasoning, created,
    row_number() OVER (PARTITION BY example_id, reasoning ORDER BY created, trace_id) - 1 AS copy
FROM traces
JOIN chosen USING (example_id)
JOIN splits USING (example_id)
WHERE split = $split AND side = 'train' AND valid
    AND (correct OR NOT $correct_only) AND (provider <> 'rehearsal' OR $rehearsed)
    AND CASE WHEN $approach IS NULL THEN approach <> 'control' ELSE approach = $approach END
QUALIFY $since IS NULL OR created >= $since
ORDER BY chosen.n, trace_id
