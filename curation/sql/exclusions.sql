-- What is hidden at present: the latest word on each run or trace, where that is to hide it.
SELECT * FROM raw.exclusions
SEMI JOIN (SELECT exclusion_id, max(created) AS created FROM raw.exclusions GROUP BY exclusion_id)
    USING (exclusion_id, created)
WHERE hidden
