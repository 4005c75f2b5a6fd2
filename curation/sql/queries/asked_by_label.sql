-- Of each split's train side and label: requests to the generator (controls and imports left out), those that were answered and so
-- paid for, and those whose trace is in the dataset (its rows are the table `learned`).
WITH asked AS (
    SELECT s.split, e.label, r.request_id, r.answered
    FROM requests AS r
    JOIN splits AS s ON s.example_id = r.subject_id
    JOIN examples AS e USING (example_id)
    WHERE r.stage = 'generate' AND r.prompt <> 'control' AND s.side = 'train'
        AND r.request_id NOT IN (SELECT request_id FROM raw.responses WHERE provider = 'import')
),

kept AS (
    SELECT DISTINCT l.split, t.request_id
    FROM learned AS l
    JOIN raw.traces AS t USING (trace_id)
)

SELECT
    a.split, a.label,
    count(*) AS asked, count(*) FILTER (a.answered) AS answered, count(k.request_id) AS kept
FROM asked AS a
LEFT JOIN kept AS k USING (split, request_id)
GROUP BY a.split, a.label
ORDER BY a.split, a.label
