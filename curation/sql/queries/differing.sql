-- The rows that only one version has: what they are, graded as that version's own snapshot has it, and what decided.
SELECT
    c.fate, c.split, c.id, c.trace_id, c.example_id,
    e.cell_line, e.pert, e.gene, e.label,
    CASE c.fate WHEN 'added' THEN b.grade ELSE a.grade END AS grade,
    CASE c.fate WHEN 'added' THEN b.critic ELSE a.critic END AS critic,
    CASE c.fate WHEN 'added' THEN {added} ELSE {removed} END AS reason
FROM compared AS c
JOIN examples AS e USING (example_id)
LEFT JOIN state_a AS a USING (trace_id)
LEFT JOIN state_b AS b USING (trace_id)
LEFT JOIN held_a AS ha ON c.fate = 'added' AND ha.split = c.split AND ha.trace_id = c.trace_id
LEFT JOIN held_b AS hb ON c.fate = 'removed' AND hb.split = c.split AND hb.trace_id = c.trace_id
WHERE c.fate <> 'kept'
