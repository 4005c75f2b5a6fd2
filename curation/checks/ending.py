"""contradiction, cut_off and after_conclusion: how a reasoning ends, and what it was to end with."""

from __future__ import annotations

from curation.checks.claims import Claim, claims, last
from curation.checks.patterns import section, word
from curation.checks.reading import Sentence
from curation.schema import LABELS

MOST, WORDS = 300, 8  # characters of evidence; words before a cut


def contradiction(said: list[Claim], answer: str | None) -> str | None:
    """Return the sentence by which a text argues for another outcome than it answers; abstentions are left alone."""
    final = last(said)
    return final.sentence.plain[:MOST] if final and answer in LABELS and final.against(answer) else None


def cut_off(finish_reason: str | None, text: str | None) -> str | None:
    """Return the last words of an answer that the model was not let finish."""
    if finish_reason not in section("cut")["finish_reasons"]:
        return None
    return f"{finish_reason}: ... {' '.join((text or '').split()[-WORDS:])}"


def after_conclusion(said: list[Sentence], found: list[Claim]) -> str | None:
    """Return what follows the sentence that concludes.

    A text without one has nothing that could follow, and one that states its outcome first gives its reasons then.
    """
    ends = [n for n, sentence in enumerate(said) if any(c.sentence is sentence for c in found)]
    if not ends or not ends[-1] or not any(c.reasoned for c in found if c.sentence is said[ends[-1]]):
        return None
    rest = said[ends[-1] + 1 :]
    while rest and word("up", "down", "same").search(rest[0].marked):  # it goes on about the outcome
        rest = rest[1:]
    return " ".join(s.plain for s in rest)[:MOST] or None


def all_claims(said: list[Sentence]) -> list[Claim]:
    """Return the claims of all sentences, in their order."""
    return [claim for sentence in said for claim in claims(sentence)]
