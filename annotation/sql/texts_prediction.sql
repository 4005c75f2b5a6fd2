-- What a round over a file's predictions may draw from. sound: see texts_trace.sql.
SELECT
    p.prediction_id AS text_id,
    p.*,
    e.* EXCLUDE (example_id, run_id, created),
    coalesce(p.answer = e.label, false) AS correct,
    correct AS sound
FROM predictions AS p
JOIN examples AS e USING (example_id)
WHERE regexp_matches(p.reasoning, '\w') AND p.prediction_id IN (SELECT unnest($ids::VARCHAR[]))
