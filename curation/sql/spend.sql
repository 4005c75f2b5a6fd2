-- What was asked of whom and what it cost, hidden runs included. usd is null where a price is unknown, never a guess.
-- What was imported is left out: this store did not pay for it.
SELECT
    stage, provider, model,
    count(*) AS calls,
    count(*) FILTER (failure IS NULL) AS answered,
    sum(tokens_in) AS tokens_in,
    sum(tokens_out) AS tokens_out,
    CASE WHEN count(usd) FILTER (failure IS NULL) = answered THEN sum(usd) END AS usd
FROM raw.responses
WHERE origin IS NULL
GROUP BY ALL
ORDER BY ALL
