-- What experts found, a row a trace of which they judged a clause: factuality = TRUE / (TRUE + FALSE) of the settled
-- verdicts; null where there are none. What could not be verified, was tied or not judged is counted beside it.
SELECT
    trace_id,
    count(*) FILTER (verdict IN ('TRUE', 'FALSE')) AS clauses_rated,
    count(*) FILTER (verdict = 'FALSE') AS clauses_false,
    count(*) FILTER (verdict = 'TRUE') / nullif(count(*) FILTER (verdict IN ('TRUE', 'FALSE')), 0) AS factuality,
    count(*) FILTER (verdict = 'UNVERIFIABLE') AS clauses_unverifiable,
    count(*) FILTER (tie) AS clauses_tied,
    count(*) FILTER (raters = 0) AS clauses_unrated
FROM settled
GROUP BY trace_id
HAVING max(raters) > 0
