-- The labels of each split's train side, and of the valid traces on it.
SELECT split, 'train side' AS rows, label, count(*) AS n
FROM splits
JOIN examples USING (example_id)
WHERE side = 'train'
GROUP BY ALL
UNION ALL
SELECT split, 'candidates', label, count(*)
FROM candidates
GROUP BY ALL
ORDER BY ALL
