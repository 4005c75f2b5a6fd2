-- The latest answers by status, and what is known of rounds: for whoever wonders why a count is low.
SELECT
    (SELECT count(*) FROM rounds) AS rounds,
    (SELECT count(*) FROM verdicts WHERE status = 'submitted') AS submitted,
    (SELECT count(*) FROM verdicts WHERE status = 'draft') AS drafts,
    (SELECT count(*) FROM verdicts WHERE status = 'discarded') AS discarded
