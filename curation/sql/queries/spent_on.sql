-- What the generator's answers behind a dataset's traces (the table `learned`) have cost, each once; how many traces were
-- imported, for which this store did not ask.
WITH mine AS (
    SELECT DISTINCT l.trace_id, l.tokens_in, l.tokens_out, l.usd, t.provider = 'import' AS imported
    FROM learned AS l
    JOIN raw.traces AS t USING (trace_id)
)

SELECT
    (SELECT count(*) FROM mine WHERE imported) AS imported,
    count(*) AS answered,
    sum(tokens_in) AS tokens_in, sum(tokens_out) AS tokens_out, sum(usd) AS usd,
    count(*) FILTER (tokens_out IS NULL) AS uncounted,
    count(*) FILTER (usd IS NULL) AS unpriced
FROM mine
WHERE NOT imported
