"""Cut a text into blocks by its lines: a paragraph whose lines were wrapped, a list item, a heading, a code block.

A sentence never reaches over the end of a block. What a line end means is told from the two lines alone and the
width that the lines around them were wrapped at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_LINE_END = re.compile(r"\r\n|[\n\r\v\f\x85\u2028\u2029]")
_INDENT = r"[ \t\u00a0]*"
_BULLET = r"[-*+•‣◦▪●○■□·–—→➤➔✓✔][ \t\u00a0]+"
_NUMBER = r"\(?\d{1,3}[.)][ \t\u00a0]+|\(?(?:[a-zA-Z]|[ivx]{1,4})\)[ \t\u00a0]+"
_LETTER = r"[A-Z]\.[ \t]+(?=[A-Z\d*])"  # "A. thaliana" begins a sentence and no item
# a list's marker, with the quoting or the emphasis around it
MARKER = re.compile(rf"{_INDENT}(?:>[ \t]?)*(?:{_BULLET})?(?:\*\*)?(?:{_NUMBER}|{_LETTER})?")
_ITEM = re.compile(rf"{_INDENT}(?:>|\|)|{_INDENT}(?:\*\*)?(?:{_BULLET}|{_NUMBER}|{_LETTER})")
_BARE_MARKER = re.compile(rf"{_INDENT}(?:[-*+•]|\(?(?:\d{{1,3}}|[a-zA-Z])[.)])\s*")
_FENCE = re.compile(r" {0,3}(```|~~~)")
_HEADING = re.compile(r"\s*(?:#{1,6}\s.*|(\*\*|__)(?:(?!\1).)+\1:?\s*|\W*)")

_ENDED = re.compile(r"[.!?…。！？][\W_]*$")
_GOES_ON = re.compile(
    r"(?:[,(\[/–—-]|(?<![\w-])(?:a|an|the|and|or|nor|but|of|in|on|at|to|by|for|from|with|without|via|as|than|that|which|who"
    r"|whose|is|are|was|were|be|been|has|have|may|might|can|could|will|would|should|must|not|its|their|this|these"
    r"|into|onto|upon|between|such|e\.g\.|i\.e\.))\s*$"
)
_PLAIN_LOWER = re.compile(r"[\s\W]*[a-z]+(?:-[a-z]+)*(?![\w-])")  # no name such as p21 or mTORC1
WIDTH = 50  # characters; shorter lines were not wrapped by a machine


class Block(NamedTuple):
    """A stretch of a text that holds whole sentences; `code` is kept in one piece."""

    start: int
    end: int
    code: bool = False


class _Line(NamedTuple):
    start: int
    end: int
    text: str


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a text in order. What lies between them is white space."""
    lines = _lines(text)
    opened: Block | None = None
    latest = fence = ""  # the open block's latest line, the open code block's fence
    for line, width in zip(lines, _widths(lines), strict=True):
        mark = _FENCE.match(line.text)
        if fence and opened:
            opened = Block(opened.start, line.end, True)
            fence = "" if mark and mark[1] == fence else fence
            continue
        if opened and (mark or opened.code or not joins(latest, line.text, width)):
            yield opened
            opened = None
        if mark or line.text.strip():
            opened = Block(opened.start if opened else line.start, line.end, bool(mark))
        latest, fence = line.text, mark[1] if mark else ""
    if opened:
        yield opened


def joins(before: str, line: str, width: int) -> bool:
    """Tell whether a line goes on with what the line before it said.

    Args:
        before: the line before, not blank.
        line: the line.
        width: characters in the longest line of the paragraph.
    """
    if not line.strip() or _ITEM.match(line) or line.lstrip().startswith("#"):
        return False
    if _BARE_MARKER.fullmatch(before):
        return True
    tail = before.rstrip()[-20:]
    if _HEADING.fullmatch(before) or _HEADING.fullmatch(line) or tail.rstrip("*_ ").endswith((":", "：")):
        return False
    if _ENDED.search(tail) or _GOES_ON.search(tail) or _PLAIN_LOWER.match(line):
        return True
    # a machine breaks a line only where the next word does not fit
    return width >= WIDTH and len(before.rstrip()) + 1 + len(line.split(None, 1)[0]) > width


def _lines(text: str) -> list[_Line]:
    found, at = [], 0
    for end in _LINE_END.finditer(text):
        found.append(_Line(at, end.start(), text[at : end.start()]))
        at = end.end()
    return [*found, _Line(at, len(text), text[at:])]


def _widths(lines: list[_Line]) -> list[int]:
    """Return for each line the width of its paragraph, the run of lines without a blank one."""
    widths = [0] * len(lines)
    start = 0
    for i in range(len(lines) + 1):
        if i == len(lines) or not lines[i].text.strip():
            widths[start:i] = [max((len(line.text.rstrip()) for line in lines[start:i]), default=0)] * (i - start)
            start = i + 1
    return widths
