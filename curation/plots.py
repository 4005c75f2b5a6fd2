"""Plots as SVG: few kinds, text as text, no script.

Lengths along a line are in per cent and letters in pixels, so a plot fits any width and its letters keep their size;
hence a label stands above its bar and never beside it. Colours are those of Okabe and Ito (2008), which the
colour-blind can tell apart; beside our grey not all of them, so a test looks at each plot's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

BLUE, SKY, YELLOW, ORANGE = "#0072B2", "#56B4E9", "#F0E442", "#E69F00"
VERMILLION, GREY = "#D55E00", "#B3B3B3"  # grey is not theirs: for what is absent

ROW, THICK = 46, 18  # pixels: a bar with its label, and the bar alone
TALL = 150  # of a histogram
LABEL = 42  # characters of a label at most; its <title> has them all
ROOM = 0.08  # a share below this has no room for its own text in a window of 400 pixels
TICKS = 5


class Bar(NamedTuple):
    """One bar: its label, its length in any unit, and the text that stands for the length."""

    label: str
    length: float
    text: str


class Stack(NamedTuple):
    """One bar, or one place of a histogram: its label, and the counts it is made of."""

    label: str
    counts: Mapping[str, int]


class Range(NamedTuple):
    """A value from `least` to 1 with its interval, where there is one: its label, and the text that stands for it."""

    label: str
    value: float
    low: float | None
    high: float | None
    text: str


def bars(rows: Sequence[Bar], about: str) -> Markup:
    """Return horizontal bars, the longest over the full width.

    Args:
        rows: the bars, from the top.
        about: what the plot shows, for who hears it.
    """
    longest = max((r.length for r in rows), default=0) or 1
    drawn = [
        _row(i, r.label, r.text)
        + f"<line x1='.5' x2='.5' y1='{_below(i)}' y2='{_below(i) + THICK}' class='zero'/>"
        + _rect(0, r.length / longest, _below(i), THICK, f"{r.label}: {r.text}", "class='bar'")
        for i, r in enumerate(rows)
    ]
    return svg(drawn, len(rows) * ROW, _told(about, [f"{r.label} {r.text}" for r in rows]))


def stacked(rows: Sequence[Stack], colours: Mapping[str, str], about: str) -> Markup:
    """Return horizontal bars of equal length, parted by share.

    Args:
        rows: the bars, from the top, each with a count of one or more in it.
        colours: the fill of each part, in the order they are drawn in.
        about: what the plot shows, for who hears it.
    """
    drawn, told = [], []
    for i, row in enumerate(rows):
        total, start, said = sum(row.counts.values()), 0.0, []
        drawn.append(_row(i, row.label, f"{total:,}"))
        for part, colour in colours.items():
            share = row.counts.get(part, 0) / total
            drawn.append(_segment(start, share, _below(i), colour, f"{part}: {row.counts.get(part, 0):,}"))
            start += share
            said.append(f"{percent(share)} {part}")
        told.append(f"{row.label}: {', '.join(said)}")
    return svg(drawn, len(rows) * ROW, _told(about, told))


def ranges(rows: Sequence[Range], about: str, least: float = 0.0) -> Markup:
    """Return a line for each value, on which it stands as a mark and its interval as a bar.

    Args:
        rows: the values, from the top.
        about: what the plot shows, for who hears it.
        least: the value at the left end; the right end is 1.
    """

    def place(value: float) -> float:
        return 0.01 + 0.98 * (max(value, least) - least) / (1 - least)  # a mark at an end is seen whole

    drawn = []
    for i, r in enumerate(rows):
        y, at = _below(i), along(place(r.value))
        drawn.append(_row(i, r.label, r.text) + level(y + THICK / 2, "axis"))
        if r.low is not None and r.high is not None:
            drawn.append(_rect(place(r.low), place(r.high) - place(r.low), y + 5, THICK - 10, r.text, "class='bar'"))
        drawn.append(f"<line x1='{at}' x2='{at}' y1='{y}' y2='{y + THICK}' class='mark'/>")
    below = len(rows) * ROW + 13
    ends = f"<text x='0' y='{below}'>{least:g}</text><text x='100%' y='{below}' text-anchor='end'>1</text>"
    return svg([*drawn, ends], below + 5, _told(about, [f"{r.label} {r.text}" for r in rows]))


def histogram(places: Sequence[Stack], colours: Mapping[str, str], about: str) -> Markup:
    """Return upright bars side by side, stacked, over an axis whose labels are the upper ends of the bars.

    Args:
        places: the bars from the left, the first from 0; a label is the upper end.
        colours: the fill of each part, from the bottom.
        about: what the plot shows, for who hears it.
    """
    highest = max(sum(p.counts.values()) for p in places) or 1
    top, bottom, wide = 20, 20 + TALL, 1 / len(places)
    drawn = [f"<text x='0' y='13'>{highest:,}</text>", level(top, "axis"), f"<text x='0' y='{bottom + 18}'>0</text>"]
    for i, place in enumerate(places):
        y = float(bottom)
        for part, colour in colours.items():
            height = TALL * place.counts.get(part, 0) / highest
            y -= height
            if height:
                tip = f"up to {place.label}, {part}: {place.counts[part]:,}"
                drawn.append(_rect(i * wide, wide, y, height, tip, f"class='part' fill='{colour}'"))
    drawn.append(level(bottom, "zero"))
    step = max(1, round(len(places) / TICKS))
    for i in range(step - 1, len(places), step):
        drawn.append(f"<text x='{along((i + 1) * wide)}' y='{bottom + 18}' text-anchor='end'>{places[i].label}</text>")
    told = [f"up to {p.label}: {sum(p.counts.values()):,}" for p in places if any(p.counts.values())]
    return svg(drawn, bottom + 26, _told(about, told))


def percent(share: float) -> str:
    """Return a share as per cent, with three figures, or two below ten per cent."""
    return f"{100 * share:.{3 if share >= 0.1 else 2}g} %"


def ink(fill: str) -> str:
    """Return black or white, whichever stands out more on a fill (contrast ratio of WCAG 2.1)."""
    channels = (int(fill[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    bright = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000" if (bright + 0.05) / 0.05 > 1.05 / (bright + 0.05) else "#fff"


def level(y: float, style: str) -> str:
    """Return a line from end to end at a height."""
    return f"<line x1='0' x2='100%' y1='{y}' y2='{y}' class='{style}'/>"


def along(share: float) -> str:
    """Return a place or a length along a line, of which none goes past its ends."""
    return f"{100 * min(max(share, 0), 1):.3f}%"


def svg(drawn: Sequence[str], height: float, label: str) -> Markup:
    """Return what is drawn as one plot; the label is for who hears it."""
    return Markup(f"<svg role='img' aria-label='{escape(label)}' width='100%' height='{height}'>{''.join(drawn)}</svg>")


def _segment(start: float, share: float, y: float, colour: str, tip: str) -> str:
    if not share:
        return ""
    place = f"x='{along(start + share / 2)}' y='{y + 13}' text-anchor='middle'"
    text = f"<text {place} class='in' fill='{ink(colour)}'>{100 * share:.0f} %</text>"
    tip = f"{tip} ({percent(share)})"
    return _rect(start, share, y, THICK, tip, f"class='part' fill='{colour}'") + (text if share >= ROOM else "")


def _row(i: int, label: str, text: str) -> str:
    # the end of a critic's name is the version of its prompt, so the middle goes
    short = label if len(label) <= LABEL else f"{label[: LABEL // 2]}…{label[-LABEL // 2 + 1 :]}"
    y = i * ROW + 15
    return (
        f"<text x='0' y='{y}'>{escape(short)}<title>{escape(label)}</title></text>"
        f"<text x='100%' y='{y}' text-anchor='end' class='value'>{escape(text)}</text>"
    )


def _below(i: int) -> int:
    return i * ROW + 21


def _rect(start: float, share: float, y: float, height: float, tip: str, style: str) -> str:
    place = f"x='{along(start)}' y='{y:.1f}' width='{along(share)}' height='{height:.1f}'"
    return f"<rect {place} {style}><title>{escape(tip)}</title></rect>"


def _told(about: str, parts: Sequence[str]) -> str:
    return f"{about}. {'; '.join(parts)}."
