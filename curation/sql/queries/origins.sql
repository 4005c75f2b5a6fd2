-- What the imported traces of a dataset (its rows are the table `learned`) were imported from.
SELECT r.origin.file AS file, r.origin.digest AS digest, r.origin.licence AS licence, count(DISTINCT trace_id) AS traces
FROM learned
JOIN raw.traces AS t USING (trace_id)
JOIN raw.responses AS r USING (response_id)
WHERE r.origin IS NOT NULL
GROUP BY ALL
ORDER BY ALL
