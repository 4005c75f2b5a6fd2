-- What a recipe chose, parted: validation is the perturbations whose hash falls in the lowest tenth, the same in every
-- line and version; at least the lowest one.
WITH picked AS (
    SELECT c.*, ('0x' || substr(sha256(e.pert), 1, 8))::BIGINT AS place
    FROM chosen AS c
    JOIN examples AS e USING (example_id)
)

SELECT trace_id, example_id, weight,
    CASE WHEN place <= greatest((1::BIGINT << 32) // 10, min(place) OVER ()) THEN 'validation' ELSE 'train' END AS side
FROM picked
