-- What differs of the rows that both versions have, a row a difference. Of a text there is no from and to.
WITH pairs AS (
    SELECT
        c.split, c.id, c.example_id,
        unnest(list_filter([
            {what: 'side', old: c.side_a, new: c.side_b},
            {what: 'weight', old: printf('%.6g', c.weight_a), new: printf('%.6g', c.weight_b)},
            {what: 'grade', old: a.grade, new: b.grade},
            {what: 'critic', old: a.critic, new: b.critic},
            {what: 'justification', old: a.justification_hash::VARCHAR, new: b.justification_hash::VARCHAR},
            {what: 'factuality', old: printf('%.2f', a.factuality), new: printf('%.2f', b.factuality)},
            {what: 'clauses rated', old: a.clauses_rated::VARCHAR, new: b.clauses_rated::VARCHAR},
            {what: 'clauses false', old: a.clauses_false::VARCHAR, new: b.clauses_false::VARCHAR},
            {what: 'answer', old: a.answer, new: b.answer},
            {what: 'reasoning', old: a.reasoning_hash::VARCHAR, new: b.reasoning_hash::VARCHAR},
            {what: 'parser', old: a.parser, new: b.parser},
            {what: 'simulated', old: a.simulated::VARCHAR, new: b.simulated::VARCHAR}
        ], lambda p: p.old IS DISTINCT FROM p.new), recursive := true)
    FROM compared AS c
    LEFT JOIN state_a AS a USING (trace_id)
    LEFT JOIN state_b AS b USING (trace_id)
    WHERE c.fate = 'kept'
        AND (a.trace_id IS NOT NULL OR c.side_a <> c.side_b OR c.weight_a IS DISTINCT FROM c.weight_b)
)

SELECT
    split, id, example_id, what,
    CASE WHEN what NOT IN ('justification', 'reasoning') THEN old END AS old,
    CASE WHEN what NOT IN ('justification', 'reasoning') THEN new END AS new
FROM pairs
