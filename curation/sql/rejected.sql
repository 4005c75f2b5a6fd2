-- Every trace that the strictest filter (right answer, graded excellent) would leave out: where and why.
SELECT
    trace_id,
    CASE
        WHEN NOT valid THEN 'parse'
        WHEN NOT correct THEN 'answer'
        ELSE 'grade'
    END AS stage,
    CASE
        WHEN answer IS NULL THEN reason
        WHEN NOT valid AND think IN ('ok', 'unopened', 'field') THEN 'reasoning holds a tag'
        WHEN NOT valid THEN 'reasoning ' || think
        WHEN answer = 'I do not know' THEN 'abstained'
        WHEN NOT correct THEN 'wrong answer'
        WHEN grade IS NOT NULL THEN grade
        WHEN grades IS NULL THEN 'not graded'
        ELSE 'grade unreadable: ' || grades[-1].reason
    END AS reason
FROM traces
WHERE NOT coalesce(valid AND correct AND grade = 'excellent', false)
