"""The curve: loss by epoch as one SVG file that stands by itself, on a model card or in a browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curation.plots import BLUE, GREY, VERMILLION

WIDE, HIGH, LEFT, RIGHT, TOP, BOTTOM = 720, 320, 56, 16, 34, 40
POINTS = 600  # of the training line; each is the mean of the steps that it stands for
INK = "#333"


def curve(entries: Sequence[dict[str, Any]], best: int) -> str:
    """Return the SVG.

    Args:
        entries: what was logged: epoch with loss, or with eval_loss, and step.
        best: the step whose adapter was kept; it is marked.
    """
    train = _thinned([(e["epoch"], e["loss"]) for e in entries if "loss" in e])
    held_out = [(e["epoch"], e["eval_loss"]) for e in entries if "eval_loss" in e]
    high = max(y for _, y in train + held_out) * 1.05
    end = max(x for x, _ in train + held_out)

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + (WIDE - LEFT - RIGHT) * x / end, TOP + (HIGH - TOP - BOTTOM) * (1 - y / high)

    drawn = [*_axes(end, high, place), _line([place(*p) for p in train], GREY), *_legend(bool(held_out))]
    if held_out:
        drawn.append(_line([place(*p) for p in held_out], BLUE, 2))
        drawn += [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='{BLUE}'/>" for x, y in (place(*p) for p in held_out)]
    for e in entries:
        if e["step"] == best and "eval_loss" in e:
            x, y = place(e["epoch"], e["eval_loss"])
            drawn.append(
                f"<circle cx='{x:.1f}' cy='{y:.1f}' r='7' fill='none' stroke='{VERMILLION}' stroke-width='2'/>"
            )
    told = "Loss by epoch, on the rows trained on and on validation"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDE} {HIGH}' role='img' aria-label='{told}' "
        f"font-family='sans-serif' font-size='13'><rect width='{WIDE}' height='{HIGH}' fill='#fff'/>"
        f"{''.join(drawn)}</svg>\n"
    )


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return at most POINTS means of neighbours."""
    size = -(-len(points) // POINTS)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def _axes(end: float, high: float, place: Any) -> list[str]:
    drawn = []
    for i in range(5):
        x, y = end * i / 4, high * i / 4
        (at_x, bottom), (left, at_y) = place(x, 0), place(0, y)
        drawn.append(f"<line x1='{left}' x2='{WIDE - RIGHT}' y1='{at_y:.1f}' y2='{at_y:.1f}' stroke='#ddd'/>")
        drawn.append(_text(left - 8, at_y + 4, f"{y:.2g}", "end"))
        drawn.append(_text(at_x, bottom + 18, f"{x:.3g}", "middle"))
    return [*drawn, _text((LEFT + WIDE - RIGHT) / 2, HIGH - 6, "epoch", "middle")]


def _legend(validation: bool) -> list[str]:
    named = [(GREY, "loss on the rows trained on")]
    named += [(BLUE, "on validation"), (VERMILLION, "kept")] if validation else []
    drawn, x = [], float(LEFT)
    for colour, words in named:
        drawn.append(f"<line x1='{x}' x2='{x + 18}' y1='18' y2='18' stroke='{colour}' stroke-width='4'/>")
        drawn.append(_text(x + 24, 22, words, "start"))
        x += 50 + 7 * len(words)
    return drawn


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' fill='{INK}'>{words}</text>"


def _line(points: Sequence[tuple[float, float]], colour: str, width: float = 1.2) -> str:
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f"<polyline points='{places}' fill='none' stroke='{colour}' stroke-width='{width}'/>"
