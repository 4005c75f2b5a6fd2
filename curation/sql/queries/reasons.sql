-- Why traces fell out, the commonest reason first; `controls` of them were shown a wrong outcome on purpose.
SELECT x.stage, x.reason, count(*) AS n, count(*) FILTER (t.approach = 'control') AS controls
FROM rejected AS x
JOIN traces AS t USING (trace_id)
GROUP BY ALL
ORDER BY n DESC, x.stage, x.reason
