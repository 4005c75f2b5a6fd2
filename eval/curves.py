"""Curves: lines and points on a square of 0 to 1, as SVG beside the plots of `curation.plots` and in their style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from curation.plots import ROW, THICK, Range, along, level, svg

TALL = 220  # pixels
POINTS = 200  # of a line at most: more cannot be seen


class Curve(NamedTuple):
    """Points (x, y), each 0 to 1, joined by a line; or where that would say too much or too little, dots."""

    points: Sequence[tuple[float, float]]
    colour: str
    joined: bool = True
    dotted: bool = False


def curves(drawn: Mapping[str, Curve], about: str, x: str, y: str) -> Markup:
    """Return curves over a square whose sides go from 0 to 1.

    Args:
        drawn: name -> its curve.
        about: what the plot shows, for who hears it.
        x: what is along.
        y: what is upwards.
    """
    top, bottom = 22, 22 + TALL
    lines = [f"<text x='0' y='13'>1, {escape(y)}</text>", level(top, "axis"), level(bottom, "zero")]
    lines += [f"<text x='0' y='{bottom + 18}'>0</text>",
              f"<text x='100%' y='{bottom + 18}' text-anchor='end'>{escape(x)}, 1</text>"]  # fmt: skip
    for name, curve in drawn.items():
        points = thinned(curve.points)
        if curve.joined and len(points) > 1:
            path = " ".join(f"{100 * px:.2f},{100 * (1 - py):.2f}" for px, py in points)
            line = f"<polyline points='{path}' fill='none' stroke='{curve.colour}' class='curve'/>"
            lines.append(f"<svg y='{top}' width='100%' height='{TALL}' viewBox='0 0 100 100' "
                         f"preserveAspectRatio='none'>{line}</svg>")  # fmt: skip
        if curve.dotted:
            lines += [_dot(px, top + TALL * (1 - py), curve.colour, f"{name}: {px:.3f}, {py:.3f}") for px, py in points]
    return svg(lines, bottom + 26, f"{about}: {'; '.join(drawn)}.")


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return as many points as can be seen, the first and the last among them."""
    step = max(1, -(-len(points) // POINTS))
    kept = list(points[::step])
    return kept if not points or kept[-1] == points[-1] else [*kept, points[-1]]


def beside(rows: Sequence[tuple[Range, Mapping[str, float]]], about: str) -> Markup:
    """Return a line from 0 to 1 for each value: a bar for it, its interval on it, and a thin line for each other value.

    Args:
        rows: a value, and those that it stands beside (name -> value), from the top.
        about: what the plot shows, for who hears it.
    """
    drawn = []
    for i, (r, others) in enumerate(rows):
        y = i * ROW + 21
        drawn.append(f"<text x='0' y='{y - 6}'>{escape(r.label)}</text>"
                     f"<text x='100%' y='{y - 6}' text-anchor='end' class='value'>{escape(r.text)}</text>")  # fmt: skip
        drawn.append(f"<rect x='0' y='{y}' width='{along(r.value)}' height='{THICK}' class='bar faded'/>")
        if r.low is not None and r.high is not None:
            drawn.append(f"<rect x='{along(r.low)}' y='{y + 6}' width='{along(r.high - r.low)}' height='{THICK - 12}' "
                         "class='bar'/>")  # fmt: skip
        drawn += [_tick(value, y, f"{name}: {value:.3f}") for name, value in others.items()]
        drawn.append(level(y + THICK, "axis"))
    told = "; ".join(f"{r.label} {r.text}" for r, _ in rows)
    return svg(drawn, len(rows) * ROW, f"{about}. {told}.")


def _tick(value: float, y: float, tip: str) -> str:
    at = along(value)
    return (
        f"<line x1='{at}' x2='{at}' y1='{y - 2}' y2='{y + THICK + 2}' class='rule'><title>{escape(tip)}</title></line>"
    )


def _dot(x: float, y: float, colour: str, tip: str) -> str:
    return f"<circle cx='{along(x)}' cy='{y:.1f}' r='5' fill='{colour}'><title>{escape(tip)}</title></circle>"
