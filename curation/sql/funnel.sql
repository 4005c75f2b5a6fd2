-- From asking to excellent, a row a split, train side, controls left out. Each step counts within the one before it:
-- graded is those correct traces that have a readable grade. asked counts requests: samples of one example are several.
WITH asked AS (
    SELECT s.split, count(*) AS asked, count(*) FILTER (r.answered) AS answered
    FROM requests AS r
    JOIN splits AS s ON s.example_id = r.subject_id
    WHERE r.stage = 'generate' AND r.prompt <> 'control' AND s.side = 'train'
    GROUP BY s.split
),

kept AS (
    SELECT
        split,
        count(*) AS parsed,
        count(*) FILTER (correct) AS correct,
        count(*) FILTER (correct AND grade IS NOT NULL) AS graded,
        count(*) FILTER (correct AND grade = 'excellent') AS excellent
    FROM candidates
    GROUP BY split
)

SELECT
    a.split, a.asked, a.answered,
    coalesce(k.parsed, 0) AS parsed, coalesce(k.correct, 0) AS correct,
    coalesce(k.graded, 0) AS graded, coalesce(k.excellent, 0) AS excellent
FROM asked AS a
LEFT JOIN kept AS k USING (split)
ORDER BY split
