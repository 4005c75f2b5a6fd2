-- The published rows of one split: what the recipe chose, parted into train and validation, and the test side.
-- The prompt part of `messages` is made of the pair alone, so it cannot show the outcome.
WITH picked AS (
    SELECT c.*, e.pert, ('0x' || substr(sha256(e.pert), 1, 8))::BIGINT AS place
    FROM chosen AS c
    JOIN examples AS e USING (example_id)
),

-- validation is the perturbations whose hash falls in the lowest tenth, the same in every line and version; at
-- least the lowest one
parted AS (
    SELECT trace_id, example_id, weight,
        CASE WHEN place <= greatest((1::BIGINT << 32) // 10, min(place) OVER ()) THEN 'validation' ELSE 'train' END AS side
    FROM picked
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
    t.critic, t.grade, t.justification, t.factuality, t.clauses_rated,
    $prompt AS prompt, r.finish_reason, r.tokens_in, r.tokens_out, r.usd,
    p.weight, coalesce(t.simulated, e.source = 'rehearsal') AS simulated, e.source, e.licence
FROM parted AS p
JOIN examples AS e USING (example_id)
LEFT JOIN traces AS t USING (trace_id)
LEFT JOIN responses AS r ON r.response_id = t.response_id
