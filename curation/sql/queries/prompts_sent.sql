-- Each version of a generator's or critic's prompt ($hashes) as it was sent once: the system message, whose placeholders
-- are filled in for one pair. Controls, which share the generator's prompt, left out.
WITH first AS (
    SELECT prompt_hash, min(response_id) AS response_id
    FROM raw.responses
    WHERE stage IN ('generate', 'grade') AND prompt <> 'control' AND failure IS NULL
        AND prompt_hash IN (SELECT unnest($hashes::VARCHAR[]))
    GROUP BY prompt_hash
)

SELECT r.stage, r.prompt, r.prompt_hash, list_filter(r.messages, lambda m: m.role = 'system')[1].content AS text
FROM raw.responses AS r
SEMI JOIN first USING (response_id)
ORDER BY r.stage, r.prompt, r.prompt_hash
