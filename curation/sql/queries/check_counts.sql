-- How many traces are checked, and in how many each check found something.
SELECT
    count(*) AS traces,
    count(answer_leak) AS answer_leak,
    count(genes_missing) AS genes_missing,
    count(wrong_line) AS wrong_line,
    count(contradiction) AS contradiction,
    count(cut_off) AS cut_off,
    count(after_conclusion) AS after_conclusion
FROM traces
WHERE checked IS NOT NULL
