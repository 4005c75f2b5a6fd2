-- Answers of one stage that were not read yet by this version of the reader. Of two answers to one request, which
-- only two runs at once can have paid for, the first that is read counts; one of a hidden run is as if it were not.
WITH answers AS NOT MATERIALIZED (
    SELECT * FROM responses WHERE stage = $stage AND failure IS NULL
),

first AS (
    SELECT request_id, arg_min(response_id, created) AS response_id FROM answers GROUP BY request_id
)

SELECT {columns}
FROM answers
SEMI JOIN (
    SELECT response_id FROM first
    ANTI JOIN (
        SELECT request_id FROM {read_already}
        ANTI JOIN (SELECT subject AS run_id FROM exclusions WHERE kind = 'run') USING (run_id)
    ) USING (request_id)
    ORDER BY 1 LIMIT $most
) USING (response_id)
