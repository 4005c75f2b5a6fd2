-- As excellent, without the traces whose words give away that the outcome was shown; those not checked yet are left out.
SELECT trace_id
FROM candidates
WHERE grade = 'excellent' AND answer = label AND checked IS NOT NULL AND answer_leak IS NULL
