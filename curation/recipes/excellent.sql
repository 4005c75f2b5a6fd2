-- Traces graded excellent whose answer is the measured one: the paper's filter (section 3.2).
SELECT trace_id FROM candidates WHERE grade = 'excellent' AND answer = label
