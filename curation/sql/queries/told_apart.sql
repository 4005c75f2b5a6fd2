-- Every readable grade, a row a critic and trace, of traces that explain the outcome they were shown: the measured one
-- (true_outcome) or, in a control, a wrong one. step: 1 terrible to 5 excellent.
SELECT
    c.critic, t.label, t.pert, t.approach = 'explain' AS true_outcome,
    list_position(['terrible', 'bad', 'average', 'good', 'excellent'], c.graded.grade) AS step
FROM critics AS c
JOIN traces AS t USING (trace_id)
WHERE c.graded.grade IS NOT NULL AND t.valid AND t.answer = t.outcome_shown
    AND (t.approach = 'control' OR t.approach = 'explain' AND t.outcome_shown = t.label)
ORDER BY ALL
