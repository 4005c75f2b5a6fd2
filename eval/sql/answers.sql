-- What these requests were answered, the first answer of each; hidden runs are as if they had not been.
SELECT request_id, unnest(arg_min(struct_pack(text := text, thinking := thinking), created))
FROM responses
SEMI JOIN (SELECT unnest($ids::VARCHAR[]) AS request_id) USING (request_id)
WHERE failure IS NULL
GROUP BY request_id
