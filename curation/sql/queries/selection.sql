-- The fixed set of train-side examples that the options name: in the order of sha256(seed, example_id), so that a
-- larger limit holds a smaller one, and in that order each label's first, the first share, the first so many.
WITH ordered AS (
    SELECT e.example_id, cell_line, pert, gene, label, sha256(concat_ws(chr(31), $seed, e.example_id)) AS place
    FROM examples AS e
    JOIN splits AS s USING (example_id)
    WHERE s.split = $split AND s.side = 'train' AND ($cell_line IS NULL OR cell_line = $cell_line)
),

numbered AS (
    SELECT *, row_number() OVER (PARTITION BY label ORDER BY place) AS n_label FROM ordered
),

capped AS (
    SELECT *, row_number() OVER (ORDER BY place) AS n, count(*) OVER () AS among
    FROM numbered
    WHERE $per_label IS NULL OR n_label <= $per_label
)

SELECT example_id, cell_line, pert, gene, label
FROM capped
WHERE n <= ceil($fraction * among - 1e-9)
    AND ($limit IS NULL OR n <= $limit)
    AND ('0x' || substr(sha256(example_id), 1, 8))::BIGINT % $shards = $shard % $shards
ORDER BY place
