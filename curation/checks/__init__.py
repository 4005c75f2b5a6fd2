"""What a trace's text shows by itself: each check gives the words that caused it, or None for nothing found."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from curation.checks import ending, likeness, naming, patterns
from curation.checks.leak import answer_leak
from curation.checks.reading import plain, read

RULES = 1  # counted up when the code of a check changes what it finds
NAMES = ("answer_leak", "genes_missing", "wrong_line", "contradiction", "cut_off", "after_conclusion")


@cache
def version() -> str:
    """Return the version of the checks: of their rules, of the patterns, and of the hashing."""
    return f"{RULES}.{patterns.version()}.{likeness.fingerprint()}"


def check_trace(trace: Mapping[str, Any]) -> dict[str, Any]:
    """Run every check on one trace.

    Args:
        trace: pert, gene, cell_line, label, outcome_shown, answer, reasoning, finish_reason; text, the whole answer,
            where the reasoning is none.

    Returns:
        tokens, signature, and for each of `NAMES` the words that caused it or None.
    """
    text, pert, gene, line = (trace[k] for k in ("reasoning", "pert", "gene", "cell_line"))
    cut = ending.cut_off(trace["finish_reason"], text or trace.get("text"))
    if not text:
        return dict.fromkeys(("tokens", "signature", *NAMES)) | {"cut_off": cut}
    said = read(text, pert, gene)
    claims = ending.all_claims(said)
    return {
        "tokens": likeness.tokens(text),
        "signature": likeness.signature(text),
        "answer_leak": answer_leak(said, pert, gene, line, trace["outcome_shown"] or trace["label"]),
        "genes_missing": naming.genes_missing(plain(text), pert, gene),
        "wrong_line": naming.wrong_line(plain(text), line),
        "contradiction": ending.contradiction(claims, trace["answer"]),
        "cut_off": cut,
        "after_conclusion": ending.after_conclusion(said, claims),
    }
