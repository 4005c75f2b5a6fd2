"""A terminal: lines at its end that are redrawn in place, whatever size it is given meanwhile."""

from __future__ import annotations

import os
import re
from typing import TextIO

USUAL = os.terminal_size((80, 24))  # where a terminal does not know its size
NAME, ALARM, PLAIN = "\x1b[1;36m", "\x1b[33m", "\x1b[0m"


class Block:
    """A few lines that are drawn again and again at one place; lines are cut to the terminal, never wrapped.

    Args:
        out: a terminal.
    """

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.drawn: list[int] = []  # the length of each line that stands there
        self.coloured = not os.environ.get("NO_COLOR")

    def draw(self, lines: list[str]) -> None:
        """Put these lines in the place of those before; the cursor is left on the line below them."""
        size = _size(self.out)
        # a terminal that was made narrower has wrapped what stood there, and is asked for its size each time
        above = min(sum(max(1, -(-n // size.columns)) for n in self.drawn), size.lines - 1)
        # a line as wide as the terminal would have its last sign wiped; one as high would be scrolled out of reach
        shown = [_cut(line, max(size.columns - 1, 1)) for line in lines[: max(size.lines - 1, 1)]]
        self.drawn = [len(line) for line in shown]
        start = f"\r\x1b[{above}A" if above else "\r"
        # in one piece, each line over the old one: nothing flickers
        self.out.write(start + "".join(f"{self._painted(line)}\x1b[K\n" for line in shown) + "\x1b[J")
        self.out.flush()

    def _painted(self, line: str) -> str:
        if not self.coloured:
            return line
        line = re.sub(r"^\S+", rf"{NAME}\g<0>{PLAIN}", line)
        return re.sub(r"[\d,]+ failed.*", rf"{ALARM}\g<0>{PLAIN}", line)


def _cut(line: str, width: int) -> str:
    """Return what fits of a line; an ellipsis says that more was said, so that half a number is not taken for one."""
    return line if len(line) <= width else line[: width - 1] + "…"


def can_redraw(out: TextIO) -> bool:
    """Tell whether this is a terminal that understands how to redraw."""
    return out.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _size(out: TextIO) -> os.terminal_size:
    try:
        size = os.get_terminal_size(out.fileno())
    except OSError:
        return USUAL
    return size if size.columns and size.lines else USUAL
