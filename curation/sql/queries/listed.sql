-- Some of the rows that differ, so many that every reason has its share, reasons side by side.
WITH told AS (
    SELECT fate, split, id, cell_line, pert, gene, label, grade, reason FROM differing
    UNION ALL
    SELECT 'changed', split, id, cell_line, pert, gene, label, NULL,
        string_agg(what || CASE WHEN old IS NULL AND new IS NULL THEN '' ELSE
            ': ' || coalesce(old, 'none') || ' to ' || coalesce(new, 'none') END, '; ' ORDER BY what)
    FROM altered
    JOIN examples USING (example_id)
    GROUP BY ALL
),

numbered AS (
    SELECT *, row_number() OVER (PARTITION BY fate, split, reason ORDER BY id) AS n FROM told
)

SELECT * EXCLUDE (n) FROM (FROM numbered ORDER BY n, fate, split, reason LIMIT $most)
ORDER BY fate, reason, split, id
