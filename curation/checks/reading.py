"""A trace's reasoning as the checks read it: sentences, with the names of its genes and of cell lines marked."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from curation.checks.patterns import section

GENE, PERT, LINE = "GENE_", "PERT_", "LINE_"
DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2212"), "-")  # models write all of them
ABBREVIATED = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|approx|ca|al|fig|figs|dr|no|resp|ref|refs)|(?:^|\s)\d{1,2})\.$", re.I
)
END = re.compile(r"[.!?][\"')\]*]*(?=\s|$)|\n\s*(?=\n|[-*\u2022#]|\d+[.)])")
# what follows a symbol and makes it another gene's: CTBP1-DT, NKX2-1
OTHER_GENE = re.compile(r"-(?:AS\d*|DT|IT\d*|OT\d*|\d+)(?![A-Za-z0-9])")


class Sentence(NamedTuple):
    """A sentence as it stands in the text, and with names marked."""

    plain: str
    marked: str


def plain(text: str) -> str:
    """Return a text with one kind of hyphen; every character keeps its place."""
    return text.translate(DASHES)


def sentences(text: str) -> list[str]:
    """Cut a text after full stops and at the items of a list; abbreviations and list numbers end no sentence."""
    found, start = [], 0
    for match in END.finditer(text):
        if not ABBREVIATED.search(text[start : match.end()]):
            found.append(text[start : match.end()].strip())
            start = match.end()
    return [s for s in [*found, text[start:].strip()] if s]


def places(symbol: str, text: str) -> list[int]:
    """Return where a text names a gene by its symbol: as a word, in the case that it is written in.

    Looked for by hand: an expression would have to be compiled for each pair, which costs more than all else.
    """
    found, at, size = [], text.find(symbol), len(symbol)
    while at >= 0:
        beside = text[max(at - 1, 0) : at] + text[at + size : at + size + 1]
        if not any(c.isascii() and c.isalnum() for c in beside) and not OTHER_GENE.match(text, at + size):
            found.append(at)
        at = text.find(symbol, at + 1)
    return found


def read(text: str, pert: str, gene: str) -> list[Sentence]:
    """Return the sentences of a text about a pair."""
    return [Sentence(s, _marked(s, pert, gene)) for s in sentences(plain(text))]


def restored(words: str, pert: str, gene: str, line: str) -> str:
    """Return marked words as they were written, or nearly: a line has its usual name."""
    for mark, name in ((GENE, gene), (PERT, pert), (LINE, line)):
        words = words.replace(mark, name)
    return " ".join(words.split())


def _marked(sentence: str, pert: str, gene: str) -> str:
    spans = [(at, at + len(s), mark) for s, mark in ((gene, GENE), (pert, PERT)) for at in places(s, sentence)]
    for start, end, mark in sorted(spans, reverse=True):
        sentence = sentence[:start] + mark + sentence[end:]
    return any_line().sub(LINE, sentence)


@cache
def any_line() -> re.Pattern[str]:
    """Return the expression for any cell line that is known, by any of its names."""
    return re.compile("|".join(line_names(line) for line in section("lines")), re.I)


@cache
def one_line(line: str) -> re.Pattern[str]:
    """Return the expression for a cell line by any of its names."""
    return re.compile(line_names(line), re.I)


def line_names(line: str) -> str:
    """Return the text of the expression for a cell line."""
    spelled = [re.sub(r"-(?!\?)", "[- ]?", name) for name in section("lines").get(line, [re.escape(line)])]
    return rf"(?<![A-Za-z0-9])(?:{'|'.join(spelled)})(?![A-Za-z0-9])"
