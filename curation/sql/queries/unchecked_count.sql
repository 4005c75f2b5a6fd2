-- How many traces the checks of this version have not seen.
SELECT count(DISTINCT trace_id) AS n FROM raw.traces
ANTI JOIN (SELECT trace_id FROM raw.checks WHERE version = $version) USING (trace_id)
SEMI JOIN examples USING (example_id)
