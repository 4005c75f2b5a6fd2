-- The published rows of one split: what the recipe chose, as `learned` parts it, and the test side.
-- The prompt part of `messages` is made of the pair alone, so it cannot show the outcome.
WITH sided AS (
    SELECT trace_id, example_id, weight, side FROM learned
    UNION ALL
    SELECT NULL, example_id, NULL, 'test' FROM splits WHERE split = $split AND side = 'test'
)

SELECT
    p.side,
    [
        {role: 'system', content: $system},
        {role: 'user', content: replace(replace(replace($user, '{pert}', e.pert), '{gene}', e.gene),
            '{cell_line}', e.cell_line)}
    ] || CASE WHEN p.side = 'test' THEN [] ELSE [{
        role: 'assistant',
        content: CASE WHEN p.trace_id IS NULL THEN '' ELSE '<think>' || chr(10) || t.reasoning || chr(10) || '</think>' || chr(10) END
            || '<answer>' || e.label || '</answer>'
    }] END AS messages,
    p.example_id, p.trace_id,
    e.cell_line, e.pert, e.gene, e.label,
    t.reasoning, t.answer, t.approach, t.generator, t.prompt_hash AS generator_prompt, t.parser,
    t.critic, t.grade, t.justification, t.factuality, t.clauses_rated, t.clauses_false,
    $prompt AS prompt, r.finish_reason, r.tokens_in, r.tokens_out, r.usd,
    p.weight, coalesce(t.simulated, e.source = 'rehearsal') AS simulated, e.source,
    concat_ws('; trace: ', e.licence,
        CASE WHEN r.origin IS NOT NULL THEN coalesce(nullif(trim(r.origin.licence), ''), 'unknown') END) AS licence
FROM sided AS p
JOIN examples AS e USING (example_id)
LEFT JOIN traces AS t USING (trace_id)
LEFT JOIN responses AS r ON r.response_id = t.response_id
