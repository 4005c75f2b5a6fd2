-- For each cell line of the test side and each of the train side: how many test examples have their perturbation, their
-- gene or the very pair there, and how often the pair has the same label. Last, the lines other than the example's own
-- taken together, and all test lines together.
WITH numbered AS (SELECT *, row_number() OVER () AS n FROM test),
lines AS (SELECT DISTINCT cell_line AS train_line FROM train),
perts AS (SELECT DISTINCT cell_line AS train_line, pert FROM train),
genes AS (SELECT DISTINCT cell_line AS train_line, gene FROM train),

each AS (
    SELECT
        t.n, t.cell_line, train_line, p.pert IS NOT NULL AS pert, g.gene IS NOT NULL AS gene,
        a.label IS NOT NULL AS pair, a.label = t.label AS agrees
    FROM numbered AS t
    CROSS JOIN lines
    LEFT JOIN perts AS p USING (train_line, pert)
    LEFT JOIN genes AS g USING (train_line, gene)
    LEFT JOIN train AS a ON a.cell_line = train_line AND a.pert = t.pert AND a.gene = t.gene
),

others AS (
    SELECT n, any_value(cell_line) AS cell_line, 'any other' AS train_line,
        bool_or(pert) AS pert, bool_or(gene) AS gene, bool_or(pair) AS pair, avg(agrees::INT) AS agrees
    FROM each
    WHERE train_line <> cell_line
    GROUP BY n
),

rows AS (
    SELECT n, cell_line, train_line, pert, gene, pair, agrees::DOUBLE AS agrees FROM each
    UNION ALL
    SELECT n, cell_line, train_line, pert, gene, pair, agrees FROM others
)

SELECT
    coalesce(cell_line, 'all') AS test_line, train_line, count(*) AS test,
    count(*) FILTER (pert) AS pert, count(*) FILTER (gene) AS gene, count(*) FILTER (pair) AS pair,
    avg(agrees) AS agrees
FROM rows
WHERE TRUE
GROUP BY GROUPING SETS ((cell_line, train_line), (train_line))
HAVING cell_line IS NOT NULL OR train_line = 'any other'
ORDER BY cell_line NULLS LAST, train_line = 'any other', train_line
