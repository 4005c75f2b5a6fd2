-- One row a request over all runs and tries: answered, or how its last try failed.
SELECT
    request_id,
    any_value(subject_id) AS subject_id,
    any_value(stage) AS stage,
    any_value(prompt) AS prompt,
    bool_or(failure IS NULL) AS answered,
    CASE WHEN NOT answered THEN arg_max(failure, created) END AS failure,
    count(*) AS tries
FROM responses
GROUP BY request_id
