-- Traces graded good or excellent whose answer is the measured one: more rows than excellent, and rougher.
SELECT trace_id FROM candidates WHERE at_least('good') AND answer = label
