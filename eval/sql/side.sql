-- The examples on one side of a split.
SELECT example_id, e.cell_line, e.pert, e.gene, e.label
FROM splits
JOIN examples AS e USING (example_id)
WHERE split = $split AND side = $side
ORDER BY example_id
