-- The rows of each version that was built to its end: a build that was killed may have left rows of its own. A version's
-- newest row may be that of a run that published it, so all its rows are asked.
SELECT * FROM raw.members
SEMI JOIN (SELECT run_id FROM raw.versions) USING (run_id)
