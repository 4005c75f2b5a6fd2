-- The valid traces on the train side of a split, in the order of their examples' places, with the query that their
-- example makes. A trace that was rehearsed is for a rehearsed critic alone, and a control for who asks for controls:
-- they test the critic.
SELECT trace_id, cell_line, pert, gene, reasoning, created, copy
FROM traces
JOIN chosen USING (example_id)
JOIN splits USING (example_id)
JOIN (
    -- Two traces may hold the same words: `copy` numbers them, so that each is asked for itself. It must stand for
    -- ever, so it counts all that were ever made, whatever is wanted or hidden now.
    SELECT
        trace_id, hash(reasoning) AS words,
        row_number() OVER (PARTITION BY example_id, hash(reasoning) ORDER BY min(created), trace_id) - 1 AS copy
    FROM raw.traces
    SEMI JOIN chosen USING (example_id)
    GROUP BY example_id, hash(reasoning), trace_id
) AS copies USING (trace_id)
WHERE split = $split AND side = 'train' AND valid AND words = hash(reasoning)
    AND (correct OR NOT $correct_only) AND (provider <> 'rehearsal' OR $rehearsed)
    AND CASE WHEN $approach IS NULL THEN approach <> 'control' ELSE approach = $approach END
    AND ($since IS NULL OR created >= $since)
ORDER BY chosen.n, trace_id
