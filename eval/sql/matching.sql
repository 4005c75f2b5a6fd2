-- How many train examples of each label match each test example, in the order of the test rows. {match} is the rule:
-- a condition on t, the test row, and a, the train row.
SELECT
    count(a.label) FILTER (a.label = 'upregulated') AS up,
    count(a.label) FILTER (a.label = 'downregulated') AS down,
    count(a.label) FILTER (a.label = 'not differentially expressed') AS none
FROM (SELECT *, row_number() OVER () AS n FROM test) AS t
LEFT JOIN train AS a ON {match}
GROUP BY t.n
ORDER BY t.n
