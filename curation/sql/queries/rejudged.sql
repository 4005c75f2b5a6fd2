-- The critic's words on these traces at one snapshot, by their hash: only whether they differ is asked.
SELECT k.trace_id, hash(t.justification) AS justification_hash
FROM touched AS k
LEFT JOIN traces AS t USING (trace_id)
