-- One row a trace that is not hidden, whatever the number of critics: the trace, its example, its newest valid grade, all grades,
-- what experts and the checks found, and whether its example, its answer or its grade was rehearsed.
-- Each column is chosen on its own, so that a query which asks for the grade alone never touches the critics' words.
WITH by_critic AS (
    SELECT
        trace_id, critic,
        arg_max_null(grade, turn) AS grade,
        arg_max_null(justification, turn) AS justification,
        arg_max_null(reason, turn) AS reason,
        arg_max_null(provider, turn) AS provider,
        arg_max_null(created, turn) AS created,
        -- a rehearsed grade never stands in for a real one
        max(CASE WHEN grade IS NOT NULL THEN turn + CASE WHEN provider <> 'rehearsal' THEN 1e37::HUGEINT ELSE 0 END END)
            AS rank
    FROM (
        -- when it was made, a valid one before an invalid one; the hash settles what was made in the same microsecond
        SELECT *, CASE WHEN grade IS NOT NULL THEN 1e36::HUGEINT ELSE 0 END
            + epoch_us(created) * 18446744073709551616::HUGEINT + hash(grade_id) AS turn
        FROM grades
    )
    GROUP BY trace_id, critic
),

judged AS (
    SELECT
        trace_id,
        list({critic: critic, grade: grade, justification: justification, reason: reason, provider: provider,
              created: created} ORDER BY created) AS grades,
        arg_max(grade, rank) AS grade,
        arg_max(critic, rank) AS critic,
        arg_max_null(justification, rank) AS justification,
        arg_max_null(provider, rank) AS provider
    FROM by_critic
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
    coalesce(t.valid, false) AS valid,
    t.answer IS NOT NULL AND t.answer = e.label AS correct,
    j.grade, j.critic, j.justification,
    j.grades,
    f.factuality, coalesce(f.clauses_rated, 0) AS clauses_rated, coalesce(f.clauses_false, 0) AS clauses_false,
    k.version AS checked, k.tokens,
    k.answer_leak, k.genes_missing, k.wrong_line, k.contradiction, k.cut_off, k.after_conclusion,
    e.source = 'rehearsal' OR t.provider = 'rehearsal' OR coalesce(j.provider = 'rehearsal', false) AS simulated,
    t.request_id, t.response_id, t.run_id, t.created
FROM latest AS t
JOIN examples AS e USING (example_id)
LEFT JOIN judged AS j USING (trace_id)
LEFT JOIN factuality AS f USING (trace_id)
LEFT JOIN checked AS k USING (trace_id)
