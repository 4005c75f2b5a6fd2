-- Whether these traces, which were read anew between two snapshots, could be read at one of them, and as what.
SELECT k.trace_id, coalesce(t.valid, false) AS readable, hash(t.reasoning) AS reasoning_hash
FROM touched AS k
LEFT JOIN traces AS t USING (trace_id)
