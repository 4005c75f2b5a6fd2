-- How many examples the options name before --fraction and --limit: of each label the first so many.
SELECT coalesce(sum(least(n, coalesce($per_label, n))), 0)::BIGINT AS n
FROM (
    SELECT count(*) AS n
    FROM sides
    WHERE split = $split AND side = 'train' AND ($cell_line IS NULL OR cell_line = $cell_line)
    GROUP BY label
)
