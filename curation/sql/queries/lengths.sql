-- How long traces are, a row a bar: `n` traces of more than the bar before and at most `upto`, `kept` of them by the
-- paper's filter. The last bar also holds the longest hundredth, which would squeeze all others. Controls left out.
WITH of_traces AS (
    SELECT t.reasoning, r.tokens_out, x.trace_id IS NULL AS kept
    FROM traces AS t
    LEFT JOIN responses AS r USING (response_id)
    LEFT JOIN rejected AS x USING (trace_id)
    WHERE t.approach <> 'control'
),

lengths AS (
    SELECT 'characters' AS unit, length(reasoning) AS length, kept FROM of_traces WHERE reasoning IS NOT NULL
    UNION ALL
    SELECT 'tokens', tokens_out, kept FROM of_traces WHERE tokens_out IS NOT NULL
),

edges AS (
    SELECT
        unit,
        median(length) AS median,
        max(length) AS longest,
        unnest(equi_width_bins(0::BIGINT, quantile_disc(length, 0.99)::BIGINT, 20, true)) AS upto
    FROM lengths
    GROUP BY unit
),

counted AS (
    SELECT l.unit, e.upto, count(*) AS n, count(*) FILTER (l.kept) AS kept
    FROM lengths AS l
    JOIN (SELECT unit, max(upto) AS last_edge FROM edges GROUP BY unit) AS m USING (unit)
    ASOF JOIN edges AS e ON e.unit = l.unit AND least(l.length, m.last_edge) <= e.upto
    GROUP BY ALL
)

SELECT unit, upto, coalesce(n, 0) AS n, coalesce(kept, 0) AS kept, median, longest
FROM edges
LEFT JOIN counted USING (unit, upto)
ORDER BY unit, upto
