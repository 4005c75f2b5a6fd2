-- How the traces that one run imported were read: valid and of the measured answer, or what is wrong with them.
SELECT CASE WHEN NOT valid THEN coalesce(reason, 'reasoning ' || think) WHEN correct THEN 'right answer' ELSE 'wrong answer' END
    AS reading, valid, count(*) AS n
FROM traces
WHERE run_id = $run
GROUP BY ALL
ORDER BY n DESC, reading
