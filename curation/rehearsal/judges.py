"""The scripted judges: a critic that grades texts and an annotator that judges clauses, both by the planted world.

How often they err, and to which side they lean, is planted too, so that an estimate of either can be checked.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from curation.rehearsal.statements import read
from curation.rehearsal.world import the_world

# grade -> the least share of true clauses that deserves it
DESERVED = {"excellent": 0.9, "good": 0.75, "average": 0.5, "bad": 0.25, "terrible": 0.0}
LOTS = {"excellent": 0.35, "good": 0.3, "average": 0.2, "bad": 0.1, "terrible": 0.05}  # of texts without a clause


def share(truths: Iterable[bool | None]) -> float | None:
    """Return the true among the clauses that are true or false, 0 to 1; None where none is either."""
    known = [true for true in truths if true is not None]
    return sum(known) / len(known) if known else None


def deserved(true: float) -> str:
    """Return the grade that a share of true clauses, 0 to 1, deserves."""
    return next(grade for grade, least in DESERVED.items() if true >= least)


def chances(true: float | None, spares: bool, accuracy: float, bias: float) -> dict[str, float]:
    """Return the probability of each grade.

    Args:
        true: share of true clauses; None: nothing that could be true or false, so the grade is drawn from `LOTS`.
        spares: whether the text concludes that nothing changes.
        accuracy: probability of the grade deserved; the other four are as likely as each other.
        bias: probability that a text that spares is then graded one step better.
    """
    if true is None:
        return LOTS
    fair = {grade: accuracy if grade == deserved(true) else (1 - accuracy) / 4 for grade in DESERVED}
    lean, below = bias * spares, [*list(fair.values())[1:], 0.0]
    found = {grade: (1 - lean) * p + lean * under for (grade, p), under in zip(fair.items(), below, strict=True)}
    return found | {"excellent": found["excellent"] + lean * fair["excellent"]}


def criticise(text: str, rng: random.Random, accuracy: float, bias: float) -> str:
    """Grade the trace that a text holds; what else stands in it, such as the query, counts for nothing."""
    said = [statement for _, statement in read(text) if statement]
    spares = any(statement.kind == "spares" for statement in said)
    by = chances(share(map(the_world().holds, said)), spares, accuracy, bias)
    return rng.choices(list(by), list(by.values()))[0]


def annotate(clause_text: str, rng: random.Random, accuracy: float, bias: float) -> str:
    """Judge a clause as a scripted expert: TRUE, FALSE or UNVERIFIABLE.

    Args:
        clause_text: one clause, or a span of several, which is true if each is that can be true or false.
        rng: the expert's own.
        accuracy: probability of the right verdict (UNVERIFIABLE where the world has no say).
        bias: probability that what would be judged FALSE is let pass as TRUE.
    """
    true = share(true for _, true in the_world().clauses(clause_text))
    right = "UNVERIFIABLE" if true is None else "TRUE" if true == 1 else "FALSE"
    wrong = {"TRUE": ["FALSE"], "FALSE": ["TRUE"], "UNVERIFIABLE": ["TRUE", "FALSE"]}[right]
    verdict = right if rng.random() < accuracy else rng.choice(wrong)
    return "TRUE" if verdict == "FALSE" and rng.random() < bias else verdict
