-- The clauses of every trace that an expert has judged a clause of, judged or not: those of the latest cut that is one of
-- the trace's present text, whole and at its places. Where none is (the text was read anew and not cut since), the clauses
-- that still stand at their places. So a planted clause, whose words are not the trace's own, is not among them.
WITH touched AS (
    SELECT DISTINCT subject_id AS trace_id FROM raw.clauses
    SEMI JOIN (SELECT clause_id FROM verdicts WHERE status = 'submitted') USING (clause_id)
    WHERE subject = 'trace'
),

texts AS (
    SELECT trace_id, arg_max({now: reasoning}, created).now AS reasoning
    FROM raw.traces
    SEMI JOIN touched USING (trace_id)
    GROUP BY trace_id
),

standing AS (
    SELECT c.*, t.reasoning, coalesce(lag(c.end_char) OVER cut, 0) AS done
    FROM raw.clauses AS c
    JOIN texts AS t ON t.trace_id = c.subject_id
    WHERE c.subject = 'trace' AND substr(t.reasoning, c.start_char + 1, c.end_char - c.start_char) = c.text
    WINDOW cut AS (PARTITION BY c.subject_id, c.created, c.run_id ORDER BY c.n)
),

whole AS (
    SELECT subject_id, created, run_id
    FROM standing
    GROUP BY subject_id, created, run_id
    HAVING bool_and(start_char >= done)
        AND NOT bool_or(regexp_matches(substr(reasoning, done + 1, greatest(start_char - done, 0)), '[\p{L}\p{N}]'))
        AND NOT regexp_matches(substr(any_value(reasoning), max(end_char) + 1), '[\p{L}\p{N}]')
    QUALIFY row_number() OVER (PARTITION BY subject_id ORDER BY created DESC, run_id) = 1
)

SELECT s.clause_id, s.subject_id AS trace_id, any_value(s.n) AS n, s.start_char, s.end_char, s.text
FROM standing AS s
LEFT JOIN whole AS w USING (subject_id)
WHERE w.subject_id IS NULL OR w.created = s.created AND w.run_id IS NOT DISTINCT FROM s.run_id
GROUP BY ALL
