-- Of these requests, those whose answer was read already by this version of the reader; what a hidden run was answered
-- counts as not answered.
SELECT request_id FROM {read_already}
ANTI JOIN (SELECT subject AS run_id FROM exclusions WHERE kind = 'run') USING (run_id)
SEMI JOIN (SELECT unnest($ids) AS request_id) USING (request_id)
