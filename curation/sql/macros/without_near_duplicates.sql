-- without_near_duplicates(threshold): the trace_ids that are left of the candidates when, of any two whose reasonings are
-- as similar as the threshold (the share of runs of three words that they have in common, 0.7 to 1, estimated by MinHash),
-- only the better stays: right before wrong, then by grade, then the older. With rows := NAME it looks at the trace_ids
-- of a WITH query of the recipe instead. Traces that are not checked yet stay.
CREATE MACRO without_near_duplicates(threshold, rows := 'candidates') AS TABLE
WITH mine AS (
    SELECT DISTINCT trace_id FROM query_table(rows)
),

-- one row a signature: what is the same word for word is settled here, or a thousand copies would make a million pairs
ranked AS (
    SELECT
        k.trace_id, k.signature,
        row_number() OVER (ORDER BY
            coalesce(t.correct, false) DESC,
            list_position(['excellent', 'good', 'average', 'bad', 'terrible'], t.grade) NULLS LAST,
            t.created, t.trace_id
        ) AS place
    FROM checked AS k
    SEMI JOIN mine USING (trace_id)
    JOIN traces AS t USING (trace_id)
    WHERE k.signature IS NOT NULL
),

firsts AS (
    SELECT signature, min(place) AS place FROM ranked GROUP BY signature
),

-- 24 bands of 5 places: of pairs as similar as 0.7 some 98.8 % have a band in common, of 0.8 all but one in 10,000
bands AS (
    SELECT place, hash(band, signature[5 * band + 1 : 5 * band + 5]) AS band
    FROM firsts, (SELECT unnest(range(24)) AS band)
),

pairs AS (
    SELECT DISTINCT a.place AS better, b.place AS worse
    FROM bands AS a
    JOIN bands AS b ON a.band = b.band AND a.place < b.place
),

alike AS (
    SELECT DISTINCT p.worse AS place
    FROM pairs AS p
    JOIN firsts AS a ON a.place = p.better
    JOIN firsts AS b ON b.place = p.worse
    WHERE list_sum(list_transform(list_zip(a.signature, b.signature), lambda s: (s[1] = s[2])::INT)) / 120 >= threshold
),

dropped AS (
    SELECT trace_id FROM ranked
    WHERE place NOT IN (SELECT place FROM firsts) OR place IN (FROM alike)
)

SELECT trace_id FROM mine ANTI JOIN dropped USING (trace_id)
