-- One row a trace that is not hidden, whatever the number of critics: the trace, its example, its newest valid grade, all grades,
-- what experts and the checks found, and whether its example, its answer or its grade was rehearsed.
WITH judged AS (
    SELECT
        trace_id,
        list(graded ORDER BY graded.created) AS grades,
        -- a rehearsed grade never stands in for a real one
        arg_max(graded, {real: graded.provider <> 'rehearsal', created: graded.created})
            FILTER (graded.grade IS NOT NULL) AS newest
    FROM critics
    GROUP BY trace_id
),

shown AS (
    SELECT * FROM raw.traces
    ANTI JOIN (SELECT subject AS run_id FROM exclusions WHERE kind = 'run') USING (run_id)
    ANTI JOIN (SELECT subject AS trace_id FROM exclusions WHERE kind = 'trace') USING (trace_id)
),

latest AS (
    SELECT * FROM shown
    SEMI JOIN (SELECT request_id, max(created) AS created FROM shown GROUP BY request_id) USING (request_id, created)
)

SELECT
    t.trace_id, t.example_id,
    e.cell_line, e.pert, e.gene, e.label, e.given_side, e.source, e.licence,
    t.approach, t.outcome_shown, t.generator, t.provider, t.prompt_hash, t.sample,
    t.reasoning, t.answer, t.think, t.reason, t.parser,
    t.answer IS NOT NULL AND t.reasoning IS NOT NULL AND t.think IN ('ok', 'unopened', 'field')
        AND NOT regexp_matches(t.reasoning, '(?i)</?\s*(think|answer)') AS valid,
    t.answer IS NOT NULL AND t.answer = e.label AS correct,
    j.newest.grade AS grade, j.newest.critic AS critic, j.newest.justification AS justification,
    j.grades,
    f.factuality, coalesce(f.clauses_rated, 0) AS clauses_rated, coalesce(f.clauses_false, 0) AS clauses_false,
    k.version AS checked, k.tokens,
    k.answer_leak, k.genes_missing, k.wrong_line, k.contradiction, k.cut_off, k.after_conclusion,
    e.source = 'rehearsal' OR t.provider = 'rehearsal' OR coalesce(j.newest.provider = 'rehearsal', false) AS simulated,
    t.request_id, t.response_id, t.run_id, t.created
FROM latest AS t
JOIN examples AS e USING (example_id)
LEFT JOIN judged AS j USING (trace_id)
LEFT JOIN factuality AS f USING (trace_id)
LEFT JOIN checked AS k USING (trace_id)
