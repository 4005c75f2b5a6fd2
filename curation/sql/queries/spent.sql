-- What the making of traces and grades has cost, whatever became of them: sums of what is known, and of how many answers
-- the price or the tokens are not. What was imported is left out: this store did not ask for it.
SELECT
    stage, model,
    count(*) AS calls,
    count(*) FILTER (failure IS NULL) AS answered,
    sum(tokens_in) AS tokens_in,
    sum(tokens_out) AS tokens_out,
    sum(usd) AS usd,
    count(*) FILTER (failure IS NULL AND tokens_out IS NULL) AS uncounted,
    count(*) FILTER (failure IS NULL AND usd IS NULL) AS unpriced
FROM raw.responses
WHERE stage IN ('generate', 'grade') AND provider <> 'import'
GROUP BY stage, model
ORDER BY stage, model
