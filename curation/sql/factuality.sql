-- Experts' verdicts, a row a trace. factuality = TRUE / (TRUE + FALSE); what nobody could verify is counted apart.
SELECT
    c.subject_id AS trace_id,
    count(DISTINCT clause_id) FILTER (v.verdict IN ('TRUE', 'FALSE')) AS clauses_rated,
    count(DISTINCT clause_id) FILTER (v.verdict = 'FALSE') AS clauses_false,
    count(*) FILTER (v.verdict = 'TRUE') / nullif(count(*) FILTER (v.verdict IN ('TRUE', 'FALSE')), 0) AS factuality
FROM clauses AS c
JOIN verdicts AS v USING (clause_id)
WHERE c.subject = 'trace' AND v.status = 'submitted'
GROUP BY ALL
