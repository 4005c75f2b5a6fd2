-- Right answers of which experts judged at least one clause, and found none of those that they judged to be false.
SELECT trace_id FROM candidates WHERE answer = label AND clauses_rated > 0 AND clauses_false = 0
