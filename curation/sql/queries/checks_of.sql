-- How many of a dataset's traces (the table `learned`) the newest checks have read, and in how many each found something.
SELECT
    count(*) AS traces,
    any_value(version) AS version,
    count(answer_leak) AS answer_leak,
    count(genes_missing) AS genes_missing,
    count(wrong_line) AS wrong_line,
    count(contradiction) AS contradiction,
    count(cut_off) AS cut_off,
    count(after_conclusion) AS after_conclusion
FROM checked
WHERE trace_id IN (SELECT trace_id FROM learned)
