"""genes_missing and wrong_line: what a reasoning must name, and what it must not."""

from __future__ import annotations

import re
from functools import cache

from curation.checks.patterns import expression, section
from curation.checks.reading import one_line, places


def genes_missing(text: str, pert: str, gene: str) -> str | None:
    """Return which of the two symbols a text never names; synonyms and other cases of the letters do not count."""
    return ", ".join(symbol for symbol in (pert, gene) if not places(symbol, text)) or None


def wrong_line(text: str, line: str) -> str | None:
    """Return the words by which a text names another cell line, where it never names the right one."""
    if one_line(line).search(text):
        return None
    found = [m[0] for other in section("lines") if other != line for m in one_line(other).finditer(text) if _meant(m)]
    return ", ".join(dict.fromkeys(found)) or None


@cache
def _contrast() -> re.Pattern[str]:
    return expression(rf"\b(?:{'|'.join(section('contrast')['words'])})(?: the| in| \w+)?\W*$")


def _meant(match: re.Match[str]) -> bool:
    return not _contrast().search(match.string[max(0, match.start() - 60) : match.start()])
