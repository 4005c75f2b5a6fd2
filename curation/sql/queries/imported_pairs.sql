-- What the benchmark says of each pair of `fresh`, in its order: the label, and the side of a split; null where it has none such.
SELECT e.label, s.side
FROM fresh AS f
LEFT JOIN examples AS e USING (example_id)
LEFT JOIN (SELECT example_id, side FROM splits WHERE split = $split) AS s USING (example_id)
ORDER BY f.n
