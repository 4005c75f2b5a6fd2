-- Answers of one stage that were not read yet by this version of the reader. Of two answers to one request, which
-- only two runs at once can have paid for, the first that is read counts; one of a hidden run is as if it were not.
-- $since spares a run to go through all that it has read already.
WITH lately AS NOT MATERIALIZED (
    SELECT * FROM responses
    WHERE stage = $stage AND failure IS NULL AND ($since IS NULL OR created >= $since)
),

first AS (
    SELECT request_id, arg_min(response_id, created) AS response_id FROM lately GROUP BY request_id
)

SELECT
    request_id, response_id, subject_id, provider, model, sample, prompt, prompt_hash, outcome_shown, text, thinking,
    run_id
FROM lately
SEMI JOIN (
    SELECT response_id FROM first
    ANTI JOIN (
        SELECT request_id FROM {read_already}
        ANTI JOIN (SELECT subject AS run_id FROM exclusions WHERE kind = 'run') USING (run_id)
    ) USING (request_id)
    ORDER BY 1 LIMIT $most
) USING (response_id)
