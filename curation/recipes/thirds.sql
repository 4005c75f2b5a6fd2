-- As excellent, with as many traces of each label: the most that the rarest label allows.
WITH excellent AS (
    SELECT trace_id, label, row_number() OVER (PARTITION BY label ORDER BY sha256(trace_id)) AS n
    FROM candidates
    WHERE grade = 'excellent' AND answer = label
)

SELECT trace_id
FROM excellent
WHERE n <= (SELECT min(most) FROM (
    SELECT coalesce(max(n), 0) AS most
    FROM (VALUES ('upregulated'), ('downregulated'), ('not differentially expressed')) AS labels (label)
    LEFT JOIN excellent USING (label)
    GROUP BY label
))
