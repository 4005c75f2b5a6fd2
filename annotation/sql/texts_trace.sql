-- What a round over traces may draw from. disagreement: two critics' grades, or two grades of one, differ.
SELECT
    trace_id AS text_id,
    *,
    len(list_distinct([g.grade FOR g IN coalesce(grades, []) IF g.grade IS NOT NULL])) > 1 AS disagreement
FROM traces
WHERE valid AND approach <> 'control' AND regexp_matches(reasoning, '\w')
