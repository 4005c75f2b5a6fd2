-- What the checks found last, a row a trace: null where nothing, else the words that caused it.
SELECT trace_id, version, tokens, answer_leak, genes_missing, wrong_line, contradiction, cut_off, after_conclusion, signature
FROM raw.checks
SEMI JOIN (SELECT trace_id, max(created) AS created FROM raw.checks GROUP BY trace_id) USING (trace_id, created)
