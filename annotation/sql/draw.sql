-- The first of each stratum, then the second of each, and so on: as many of a rare one as of a common one, until one
-- runs out. Within a stratum the lot decides, which is the same whenever it is drawn.
WITH texts AS (
    {texts}
),

fit AS (
    SELECT text_id, sound, {stratum} AS stratum, sha256(concat_ws(chr(31), $seed, text_id)) AS lot
    FROM texts
    WHERE {where}
),

ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY stratum ORDER BY lot) AS nth,
        count(*) OVER (PARTITION BY stratum) AS there
    FROM fit
)

SELECT text_id, sound, stratum, there
FROM ranked
ORDER BY nth, lot
LIMIT $n
