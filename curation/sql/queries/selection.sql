-- The fixed set of train-side examples that the options name: in the order of sha256(seed, example_id), so that a
-- larger limit holds a smaller one, and in that order each label's first, and of these the first $most. Places from
-- $below on are left out, so that they need not be sorted: see selection.py.
WITH ordered AS (
    SELECT example_id, cell_line, pert, gene, label, sha256(concat_ws(chr(31), $seed, example_id)) AS place
    FROM sides
    WHERE split = $split AND side = 'train' AND ($cell_line IS NULL OR cell_line = $cell_line) AND place < $below
),

capped AS (
    SELECT * FROM ordered WHERE $per_label IS NULL
    UNION ALL
    SELECT * FROM ordered WHERE $per_label IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY label ORDER BY place) <= $per_label
),

chosen AS (
    SELECT * FROM capped ORDER BY place LIMIT $most
)

SELECT example_id, cell_line, pert, gene, label
FROM chosen
WHERE ('0x' || substr(sha256(example_id), 1, 8))::BIGINT % $shards = $shard % $shards
ORDER BY place
