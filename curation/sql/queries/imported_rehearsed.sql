-- What rehearsals reasoned, hidden or not, each as the id of its text: in a file that has no place to say so it is rehearsed still.
SELECT DISTINCT substr(sha256(reasoning), 1, 16) AS key FROM raw.traces
WHERE provider = 'rehearsal' AND reasoning IS NOT NULL
