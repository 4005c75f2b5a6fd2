-- The counts of each split: rows before and after, and what became of them.
WITH sized AS (
    SELECT
        split,
        count(*) FILTER (fate <> 'added') AS before,
        count(*) FILTER (fate <> 'removed') AS after,
        count(*) FILTER (fate = 'added') AS added,
        count(*) FILTER (fate = 'removed') AS removed
    FROM compared
    GROUP BY split
),

changes AS (
    SELECT split, count(DISTINCT id) AS changed FROM altered GROUP BY split
)

SELECT split, before, after, added, removed, coalesce(changed, 0) AS changed
FROM sized
LEFT JOIN changes USING (split)
ORDER BY split
