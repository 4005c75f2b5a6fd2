-- Self-agreement instead of a critic: of each example that was asked several times in one approach, a right trace if
-- more than a share of its samples are right; the share is its label's own, and no change is held to a part of all.
-- $approach = 'blind': the approach whose samples are compared
-- $samples = 3: an example counts if it has so many samples, read or not
-- $up = 0.5: upregulated, more than this share of the samples must be right
-- $down = 0.5: the same for downregulated
-- $none = 0.7: the same for not differentially expressed, which is easily guessed
-- $none_share = 0.5: at most this share of the rows shows no change, those most agreed on first; 1 takes all
-- $each = 1: traces of one example at most
WITH agreed AS (
    SELECT example_id, provider, generator, prompt_hash, avg(correct::INT) AS agreement
    FROM traces
    WHERE approach = $approach
    GROUP BY example_id, provider, generator, prompt_hash
    HAVING count(*) >= $samples
),

chosen AS (
    SELECT trace_id, label, agreement
    FROM candidates
    JOIN agreed USING (example_id, provider, generator, prompt_hash)
    WHERE approach = $approach
        AND answer = label
        AND agreement > CASE label WHEN 'upregulated' THEN $up WHEN 'downregulated' THEN $down ELSE $none END
    QUALIFY top_per(example_id, $each, agreement)
),

changed AS (
    SELECT count(*) AS n FROM chosen WHERE label <> 'not differentially expressed'
)

SELECT trace_id
FROM chosen, changed
QUALIFY label <> 'not differentially expressed'
    OR $none_share >= 1
    OR top_per(label, floor($none_share / (1 - $none_share) * n + 1e-9), agreement)
