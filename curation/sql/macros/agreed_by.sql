-- Traces to which at least k critics (models with a prompt) gave the very grade they have. A critic's newest word
-- counts, once; a rehearsed critic's does not, but in a rehearsal. `WHERE grade = 'excellent' AND agreed_by(2)`
CREATE MACRO agreed_by(k) AS
    list_unique([g.critic for g in grades if g.grade = grade AND (simulated OR g.provider <> 'rehearsal')]) >= 1 * k
