-- The train and validation rows of one version; a row's id is its trace's, or its example's where it has no reasoning.
SELECT split, coalesce(trace_id, example_id) AS id, trace_id, example_id, side, weight
FROM members
WHERE name = $name AND version = $version
