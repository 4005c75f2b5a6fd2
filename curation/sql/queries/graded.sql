-- The newest valid grades of valid traces, by cell line and label; controls left out, as no recipe may choose them.
SELECT cell_line, label, coalesce(grade, 'not graded') AS grade, count(*) AS n
FROM traces
WHERE valid AND approach <> 'control'
GROUP BY ALL
ORDER BY ALL
