-- Traces that the checks of this version have not seen, oldest first, with what they look at.
WITH fresh AS (
    SELECT trace_id FROM raw.traces
    ANTI JOIN (SELECT trace_id FROM raw.checks WHERE version = $version) USING (trace_id)
    SEMI JOIN examples USING (example_id)
    GROUP BY trace_id
    ORDER BY min(created), trace_id
    LIMIT $most
)

SELECT
    t.trace_id, e.pert, e.gene, e.cell_line, e.label, t.outcome_shown, t.answer, t.reasoning, r.finish_reason,
    CASE WHEN t.reasoning IS NULL THEN r.text END AS text
FROM raw.traces AS t
SEMI JOIN fresh USING (trace_id)
JOIN examples AS e USING (example_id)
LEFT JOIN raw.responses AS r USING (response_id)
QUALIFY row_number() OVER (PARTITION BY t.trace_id ORDER BY t.created DESC) = 1
