-- How many examples the options name before --limit: each label's first so many, and of these the share.
SELECT ceil($fraction * coalesce(sum(least(n, coalesce($per_label, n))), 0) - 1e-9)::BIGINT AS n
FROM (
    SELECT count(*) AS n
    FROM sides
    WHERE split = $split AND side = 'train' AND ($cell_line IS NULL OR cell_line = $cell_line)
    GROUP BY label
)
