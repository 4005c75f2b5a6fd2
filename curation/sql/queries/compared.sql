-- Two sets of rows side by side, a row a (split, id), with what the example says of it.
SELECT
    split, id,
    coalesce(b.trace_id, a.trace_id) AS trace_id,
    example_id,
    CASE WHEN b.example_id IS NULL THEN 'removed' WHEN a.example_id IS NULL THEN 'added' ELSE 'kept' END AS fate,
    a.side AS side_a, b.side AS side_b,
    a.weight AS weight_a, b.weight AS weight_b
FROM before AS a
FULL JOIN after AS b USING (split, id, example_id)
