"""answer_leak: the reasoning says that the outcome was given, or states it before it has given a reason."""

from __future__ import annotations

from functools import cache

from curation.checks.claims import claims
from curation.checks.patterns import expression, re, section, word
from curation.checks.reading import PERT, Sentence, restored

MOST = 300  # characters of evidence


@cache
def _says() -> tuple[re.Pattern[str], ...]:
    return tuple(map(expression, section("leak")["says"]))


@cache
def _reasons() -> re.Pattern[str]:
    return expression(section("leak")["reasons"])


@cache
def _ours() -> re.Pattern[str]:
    return expression(r"\b(?:this|these|our|the present) {source}\b")


def answer_leak(said: list[Sentence], pert: str, gene: str, line: str, outcome: str | None) -> str | None:
    """Return the words by which a text tells its outcome before or beside its reasons.

    Args:
        said: its sentences.
        pert: the knocked-down gene.
        gene: the read-out gene.
        line: the cell line.
        outcome: the one that was shown, or the measured one where none was.
    """
    for n, sentence in enumerate(said):
        for pattern in _says():
            if match := pattern.search(sentence.marked):
                return restored(match[0], pert, gene, line)
        if _reported(sentence) or (n == 0 and _stated(sentence, outcome)):
            return sentence.plain[:MOST]
    return None


def _reported(sentence: Sentence) -> bool:
    """Tell whether a measurement of this very pair is appealed to, and not what follows from one."""
    marked = sentence.marked
    ours = PERT in marked or _ours().search(marked)
    if not ours or not word("source").search(marked) or word("deny_all").search(marked):
        return False
    said = claims(sentence)
    return bool(said) and (bool(word("report").search(marked)) or not said[-1].reasoned)


def _stated(sentence: Sentence, outcome: str | None) -> bool:
    """Tell whether a first sentence states the outcome, as a fact and not as what follows from something."""
    said = [c for c in claims(sentence) if not c.hedged]
    return bool(said) and not _reasons().search(sentence.marked) and not said[-1].against(outcome or "")
