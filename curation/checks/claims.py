"""What a sentence says becomes of the read-out gene: up, down, the same, or not up, not down."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from curation.checks.patterns import expression, section, word
from curation.checks.reading import Sentence

UP, DOWN, SAME = "upregulated", "downregulated", "not differentially expressed"
IF = re.compile(r"\b(?:if|were|had)\b", re.I)


class Claim(NamedTuple):
    """What becomes of the gene by one sentence; `denied` turns UP into not up; `hedged`: conceded, or only possible."""

    direction: str
    denied: bool
    hedged: bool
    reasoned: bool  # drawn as a conclusion
    sentence: Sentence

    def against(self, answer: str) -> bool:
        """Tell whether an answer says something else."""
        return (self.direction == answer) == self.denied


@cache
def _forms() -> tuple[re.Pattern[str], ...]:
    return tuple(expression(section("claims")[form]) for form in ("after", "before", "leaves", "its"))


def claims(sentence: Sentence) -> list[Claim]:
    """Return what a sentence says of the gene, in the order of its words.

    Sentences that neither conclude nor speak of a knock-down are about the gene in general, and say nothing.
    """
    if "GENE_" not in sentence.marked:
        return []
    *forms, its = _forms()
    marked = its.sub(r"\1GENE_ ", sentence.marked)
    reasoned = bool(word("conclude").search(marked))
    if not (reasoned or word("knockdown").search(marked)) or marked.endswith("?"):
        return []
    found = [(m.end(), _claim(m, marked, sentence, reasoned)) for form in forms for m in form.finditer(marked)]
    return _together([claim for _, claim in sorted(found, key=lambda f: f[0]) if claim])


def last(claims: list[Claim]) -> Claim | None:
    """Return the claim that a text ends with; what is conceded or only possible counts if there is no other."""
    return next(iter([c for c in reversed(claims) if not c.hedged] or reversed(claims)), None)


def _claim(match: re.Match[str], marked: str, sentence: Sentence, reasoned: bool) -> Claim | None:
    said = match.groupdict()
    before = _clause(marked[: match.start()])
    if word("undone").search(before[-25:]) and before.endswith("of "):
        return None  # less repression of a gene is no less of the gene
    direction = UP if said.get("up") else DOWN if said.get("down") else SAME
    denied = _denied(before, said)
    if said.get("moves"):
        if not denied:
            return None
        denied = False
    hedged = bool(word("hedge").search(f"{before} {said.get('gap') or ''}"))
    return None if IF.search(before) else Claim(direction, denied, hedged, reasoned, sentence)


def _denied(before: str, said: dict[str, str | None]) -> bool:
    """Tell whether what is said is denied: between the gene and it, or before both."""
    if word("deny_all").search(before):  # "there is no evidence for", "it is unlikely that"
        return True
    if "gap" in said:
        return bool(word("deny").search(said["gap"] or ""))
    near = re.split(r"\band\b", before.replace("not only", ""))[-1]
    return bool(word("deny").search(" ".join(near.split()[-4:])))


def _clause(before: str) -> str:
    """Return what stands before, back to where its clause begins."""
    return re.split(r"[,;:.]\s|\b(?:but|however|yet|because|so that|and thus|and so)\b", before)[-1]


def _together(found: list[Claim]) -> list[Claim]:
    """Neither up nor down is no change."""
    denied = {c.direction for c in found if c.denied}
    if {UP, DOWN} <= denied:
        return [c._replace(direction=SAME, denied=False) for c in found if c.denied][-1:]
    return found
