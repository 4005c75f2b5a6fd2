-- What experts say of the clauses in `reviewed`, a row a clause and annotator: the latest verdict submitted, in whichever
-- round; a draft or a discard is none. last_word: whether a round in which it was judged gives this annotator the last word.
SELECT
    c.trace_id, v.clause_id, v.annotator,
    unnest(arg_max(
        {verdict: v.verdict, level: v.level, note: v.note, round: v.round, answered: v.answered},
        {answered: v.answered, created: v.created, round: v.round}
    )),
    bool_or(r.last_word IS NOT NULL) AS last_word
FROM verdicts AS v
JOIN reviewed AS c USING (clause_id)
LEFT JOIN rounds AS r ON r.name = v.round AND r.last_word IN (v.annotator, v.annotator_name)
WHERE v.status = 'submitted' AND v.verdict IN ('TRUE', 'FALSE', 'UNVERIFIABLE')
GROUP BY c.trace_id, v.clause_id, v.annotator
