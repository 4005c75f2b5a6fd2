-- The n traces of each group that stand highest by a number; those that have none stand last, ties go by
-- sha256(trace_id). `QUALIFY top_per(pert, 3, factuality)`, and lowest first: `QUALIFY top_per(pert, 3, -length(reasoning))`
CREATE MACRO top_per("group", n, "by") AS
    row_number() OVER (PARTITION BY "group" ORDER BY "by" DESC NULLS LAST, sha256(trace_id)) <= 1 * n
