-- The strongest link between the two genes of each test pair, in the order of the test rows; 0 where there is none.
-- STRING lists a link in both directions, but a cut of it need not.
WITH named AS (
    SELECT a.preferred_name AS one, b.preferred_name AS other, combined_score
    FROM links
    JOIN info AS a ON a.protein = protein1
    JOIN info AS b ON b.protein = protein2
),

either AS (
    SELECT one, other, max(combined_score) AS score
    FROM (SELECT one, other, combined_score FROM named UNION ALL SELECT other, one, combined_score FROM named)
    GROUP BY ALL
)

SELECT coalesce(score, 0) AS score
FROM (SELECT pert, gene, row_number() OVER () AS n FROM test) AS t
LEFT JOIN either ON one = pert AND other = gene
ORDER BY n
