-- The rows of each version that was built to its end: a build that was killed may have left rows of its own.
SELECT * FROM raw.members
SEMI JOIN (SELECT run_id FROM versions) USING (run_id)
