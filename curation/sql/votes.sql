-- What the samples of one question said, a row an example, approach, generator and prompt: how many said which label, I do
-- not know, or nothing that can be read; answer is the label of most samples, null where two are level or none was said,
-- and share is its part of all samples.
WITH counted AS (
    SELECT
        example_id, approach, generator, provider, prompt_hash,
        count(*) AS samples,
        count(*) FILTER (valid AND answer = 'upregulated') AS upregulated,
        count(*) FILTER (valid AND answer = 'downregulated') AS downregulated,
        count(*) FILTER (valid AND answer = 'not differentially expressed') AS no_change,
        count(*) FILTER (valid AND answer = 'I do not know') AS abstained
    FROM traces
    GROUP BY ALL
),

led AS (
    SELECT
        *,
        samples - upregulated - downregulated - no_change - abstained AS unreadable,
        greatest(upregulated, downregulated, no_change) AS most
    FROM counted
)

SELECT
    v.example_id, e.cell_line, e.pert, e.gene, e.label,
    v.approach, v.generator, v.provider, v.prompt_hash,
    v.samples, v.upregulated, v.downregulated, v.no_change, v.abstained, v.unreadable,
    CASE
        WHEN most = 0 THEN NULL
        WHEN (upregulated = most)::INT + (downregulated = most)::INT + (no_change = most)::INT > 1 THEN NULL
        WHEN upregulated = most THEN 'upregulated'
        WHEN downregulated = most THEN 'downregulated'
        ELSE 'not differentially expressed'
    END AS answer,
    CASE WHEN answer IS NOT NULL THEN most / samples END AS share
FROM led AS v
JOIN examples AS e USING (example_id)
