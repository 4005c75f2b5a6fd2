-- What a round over traces may draw from. disagreement: two critics' grades, or two grades of one, differ. sound: as far
-- as one can tell without an expert, what the text says is true.
SELECT
    trace_id AS text_id,
    *,
    len(list_distinct([g.grade FOR g IN coalesce(grades, []) IF g.grade IS NOT NULL])) > 1 AS disagreement,
    correct AND coalesce(grade = 'excellent', true) AS sound
FROM traces
WHERE valid AND approach <> 'control' AND regexp_matches(reasoning, '\w')
