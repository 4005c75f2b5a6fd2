-- At most n traces of each label (or whatever else is named), in the order of sha256(trace_id), so always the same.
-- `QUALIFY balanced(label, 500)`, `QUALIFY balanced((label, cell_line), 100)`
CREATE MACRO balanced(label, n) AS
    row_number() OVER (PARTITION BY label ORDER BY sha256(trace_id)) <= 1 * n
