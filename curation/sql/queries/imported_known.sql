-- The traces that an import need not bring: by the request that brought one before, and by what one says, whoever wrote it.
SELECT request_id AS key, trace_id FROM traces
UNION ALL
SELECT
    substr(sha256(concat_ws(chr(31), 'import', example_id, coalesce(answer, ''), coalesce(reasoning, ''))), 1, 16), trace_id
FROM traces
