-- What the newest version of the checks found, a row a trace: null where nothing, else the words that caused it. A trace
-- is checked once a version, so there is nothing to choose the latest of; one that only an older version read is not in.
SELECT trace_id, version, tokens, answer_leak, genes_missing, wrong_line, contradiction, cut_off, after_conclusion, signature
FROM raw.checks
WHERE version = (SELECT arg_max(version, created) FROM raw.checks)
