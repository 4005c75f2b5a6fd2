"""How the commands print: the result to stdout, as text or JSON, and all else to stderr."""

from __future__ import annotations

import shutil
import sys
from decimal import Decimal
from typing import Any

import orjson
import typer

CELL = 80  # characters at most


def result(ctx: typer.Context, found: Any, text: str) -> None:
    """Print a result to stdout: as JSON if asked for, else as text."""
    print(orjson.dumps(found, default=_json).decode() if ctx.obj["json"] else text)


def _json(value: Any) -> Any:
    """Return what JSON can hold of a value of SQL: a sum of integers comes as a Decimal."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and abs(value) < 2**63 else float(value)
    return str(value)


def say(ctx: typer.Context, text: str) -> None:
    """Print a remark to stderr."""
    if not ctx.obj["quiet"]:
        typer.echo(text, err=True)


def say_next(ctx: typer.Context, command: str) -> None:
    """Say what to type next, for the store that was named."""
    named = ctx.obj["store"]
    say(ctx, f"next: {command.replace('synthpert', f'synthpert --store {named}', 1) if named else command}")


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as aligned text: numbers to the right, long cells cut to fit a terminal (--json has them whole)."""
    if not rows:
        return "(no rows)"
    head = list(rows[0])
    cells = [[_cell(r[c]) for c in head] for r in rows]
    width = _fit([min(CELL, max(len(c[i]) for c in [head, *cells])) for i in range(len(head))])
    right = [all(isinstance(r[c], int | float | Decimal | None) for r in rows) for c in head]

    def line(values: list[str]) -> str:
        cut = (v if len(v) <= w else v[: max(w - 3, 1)] + "..." for v, w in zip(values, width, strict=True))
        padded = (v.rjust(w) if r else v.ljust(w) for v, w, r in zip(cut, width, right, strict=True))
        return "  ".join(padded).rstrip()

    return "\n".join([line(head), line(["-" * w for w in width]), *map(line, cells)])


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return rows as a table of GitHub's Markdown."""
    if not rows:
        return "(no rows)"
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([_cell(v) for v in r.values()] for r in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _fit(width: list[int]) -> list[int]:
    """Make the widest columns narrower until a line fits the terminal; as wide as they are where there is none."""
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10**6
    while sum(width) + 2 * len(width) > room and max(width) > 8:
        width[width.index(max(width))] -= 1
    return width


def _cell(value: Any) -> str:
    text = "NULL" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(text.split())


def shown(found: Any) -> str:
    """Return a result's fields one a line, a list of rows as a table: the repr of what the functions return."""
    lines = [type(found).__name__]
    for name, value in found._asdict().items():
        rows = isinstance(value, list) and value and isinstance(value[0], dict)
        lines.append(f"  {name}:" if rows else f"  {name}: {_plain(value)}")
        lines += [f"    {line}" for line in table(value).splitlines()] if rows else []
    return "\n".join(lines)


def _plain(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
