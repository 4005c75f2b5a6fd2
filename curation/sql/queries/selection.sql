-- The fixed set of train-side examples that the options name: in the order of sha256(seed, example_id), so that a
-- larger limit holds a smaller one, and in that order each label's first, the first share, the first so many.
WITH eligible AS (
    SELECT example_id, cell_line, pert, gene, label
    FROM sides
    WHERE split = $split AND side = 'train' AND ($cell_line IS NULL OR cell_line = $cell_line)
),

-- counted by itself, so that the rows need not be kept for it: what is wanted of them is then found in passing
among AS (
    SELECT sum(least(n, coalesce($per_label, n))) AS n FROM (SELECT count(*) AS n FROM eligible GROUP BY label)
),

ordered AS (
    SELECT *, sha256(concat_ws(chr(31), $seed, example_id)) AS place FROM eligible
),

capped AS (
    SELECT * FROM ordered WHERE $per_label IS NULL
    UNION ALL
    SELECT * FROM ordered WHERE $per_label IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY label ORDER BY place) <= $per_label
),

chosen AS (
    SELECT * FROM capped
    ORDER BY place
    LIMIT (SELECT least(ceil($fraction * n - 1e-9), coalesce($limit, n))::BIGINT FROM among)
)

SELECT example_id, cell_line, pert, gene, label
FROM chosen
WHERE ('0x' || substr(sha256(example_id), 1, 8))::BIGINT % $shards = $shard % $shards
ORDER BY place
