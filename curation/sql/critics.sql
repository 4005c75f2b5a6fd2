-- One row a trace and critic: the critic's newest grade, a valid one before an invalid one.
SELECT
    trace_id,
    critic,
    arg_max(
        {critic: critic, grade: grade, justification: justification, reason: reason, provider: provider,
         created: created},
        {valid: grade IS NOT NULL, created: created}
    ) AS graded
FROM grades
GROUP BY ALL
