-- The traces of these ids, in their order, with where the strictest filter left each out and, where nothing readable
-- was in it, what the model wrote.
SELECT
    t.trace_id, t.cell_line, t.pert, t.gene, t.label, t.approach, t.outcome_shown, t.generator,
    t.reasoning, t.answer, t.correct, t.grade, t.grades, t.simulated,
    x.stage, x.reason,
    CASE WHEN t.valid THEN NULL ELSE r.text END AS unread
FROM traces AS t
LEFT JOIN rejected AS x USING (trace_id)
LEFT JOIN responses AS r USING (response_id)
WHERE list_contains($ids, t.trace_id)
ORDER BY list_position($ids, t.trace_id)
