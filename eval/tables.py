"""Tables: the paper's Tables 1 to 4, our scores beside the published figures, each with its source and its doubts."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from eval import factuality
from eval.measuring import AUROCS, OF_A_CLASS
from eval.scoring import ALL
from eval.showing import model, told

if TYPE_CHECKING:
    from curation.store import Store

OURS = "this toolkit"
TITLE_B = "Factuality of what was written, for right and wrong predictions"
APPENDIX = ("predictions", "level", "source", "factuality", "traces", "clauses", "share")
Rows = Sequence[dict[str, Any]]


def published() -> dict[str, Any]:
    """Return what published.toml holds."""
    return tomllib.loads((resources.files("eval") / "published.toml").read_text("utf-8"))


def tables(scores: Rows) -> list[dict[str, Any]]:
    """Lay scores beside published ones.

    Args:
        scores: rows of `scoring.score`.

    Returns:
        A row a figure: table (1 to 4), title, kind (published, model or baseline), model, source, metric, cell_line,
        value, low, high, coverage, score_kind, note (what one should know before comparing). `auroc` is an AUROC of
        which it is uncertain whether it is per gene or pooled.
    """
    held = published()
    return [row for one in held["tables"] for row in (*_published(one, held), *_ours(one, scores, held))]


def _published(one: dict[str, Any], held: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for source, about in held["sources"].items():
        for name, figures in one.get(source, {}).items():
            note = about.get("note") or _doubt(one, name, held["notes"])
            metrics = _metrics(one, held, "auroc_per_gene" if source == "perturbqa" else "auroc")
            for (metric, cell_line), value in zip(metrics, figures, strict=True):
                yield _row(one, "published", name, about["title"], metric, cell_line, value, note=note)


def _doubt(one: dict[str, Any], name: str, notes: dict[str, str]) -> str:
    if one["number"] > 2:
        return notes["sample"]
    return notes["own"] if name in ("SynthPert", "LLM + SFT on data") else notes["taken"]


def _metrics(one: dict[str, Any], held: dict[str, Any], auroc: str) -> list[tuple[str, str]]:
    """Return the metric and the cell line of each figure of a table's rows."""
    if one["number"] <= 2:
        return [(auroc, line) for line in held["lines"]]
    return [(f"{m}_{c}", ALL) for c in held["classes"] for m in OF_A_CLASS] + [("accuracy", ALL)]


def _ours(one: dict[str, Any], scores: Rows, held: dict[str, Any]) -> Iterator[dict[str, Any]]:
    wanted = {pair for auroc in AUROCS for pair in _metrics(one, held, auroc)}
    for s in scores:
        if (s["split"], s["task"], s["rows"]) == (one["split"], one["task"], ALL) and (
            s["metric"], s["cell_line"]) in wanted:  # fmt: skip
            yield _row(one, s["kind"], s["model"], OURS, s["metric"], s["cell_line"], s["value"], s)


def _row(
    one: dict[str, Any], kind: str, name: str, source: str, metric: str, cell_line: str, value: float | None,
    score: dict[str, Any] | None = None, note: str = "",
) -> dict[str, Any]:  # fmt: skip
    beside = {k: score[k] if score else None for k in ("low", "high", "coverage", "score_kind")}
    about = {"table": one["number"], "title": one["title"], "kind": kind, "model": name, "source": source}
    return {**about, "metric": metric, "cell_line": cell_line, "value": value, **beside, "note": note}


def appendix_b(store: Store | None) -> list[dict[str, Any]]:
    """Return how true experts found what was written for right and for wrong predictions, beside the paper's figures.

    Returns:
        The rows of `factuality.of_predictions`, each with table (`B`), title and source.
    """
    about = {"table": "B", "title": TITLE_B}
    own = factuality.of_predictions(store) if store else []
    given = published()["appendix_b"]
    paper = [
        {"predictions": name, "level": ALL, "factuality": mean, "traces": n, "source": "SynthPert, Appendix B"}
        for name, (n, mean) in given.items()
    ]
    blank = dict.fromkeys(("low", "high", *factuality.COUNTS, "share", "why"))
    return [{**about, **blank, **row} for row in (*paper, *({**r, "source": OURS} for r in own))]


# -- for people


def text(rows: Rows, judged: Rows, table: Callable[[list[dict[str, Any]]], str], heading: str = "{}") -> str:
    """Return the tables as text, with the notes below each.

    Args:
        rows: of `tables`.
        judged: of `appendix_b`.
        table: how a table is written: `curation.printing.table` or `markdown`.
        heading: of a table's title.
    """
    blocks = []
    for number in sorted({r["table"] for r in rows}):
        own = [r for r in rows if r["table"] == number]
        notes = {note: n for n, note in enumerate(dict.fromkeys(r["note"] for r in own if r["note"]), 1)}
        title = heading.format(f"Table {number}. {own[0]['title']}")
        said = "\n".join(f"[{n}] {note}" for note, n in notes.items())
        partly = sorted({(r["model"], r["coverage"]) for r in own if r["coverage"] is not None and r["coverage"] < 1})
        marks = "".join(f"\n* {name}: {share:.1%} of what was to be predicted" for name, share in partly)
        blocks.append(f"{title}\n{table(list(_wide(own, notes)))}\n{said}{marks}")
    if any(r["source"] == OURS for r in judged):
        shown = [{k: _plain(r, k) for k in APPENDIX} for r in judged]
        blocks.append(f"{heading.format(f'Appendix B. {TITLE_B}')}\n{table(shown)}")
    return "\n\n".join(blocks)


def _plain(row: dict[str, Any], column: str) -> Any:
    if column == "factuality":
        return told({"value": row[column], "low": row["low"], "high": row["high"]})
    return "" if row[column] is None else row[column]


def _wide(rows: Rows, notes: dict[str, int]) -> Iterator[dict[str, Any]]:
    """Yield a row a model and metric, with a column a cell line; of Tables 3 and 4 a row a model, with its metrics."""
    auroc = rows[0]["table"] <= 2
    for key in dict.fromkeys(_key(r, auroc) for r in rows):
        some = [r for r in rows if _key(r, auroc) == key]
        one = some[0]
        source = one["source"] + (f" [{notes[one['note']]}]" if one["note"] else "")
        head = {"model": model(one), "source": source, **({"metric": one["metric"]} if auroc else {})}
        yield head | dict(_cells(some, rows, "cell_line" if auroc else "metric"))


def _key(row: dict[str, Any], auroc: bool) -> tuple[Any, ...]:
    return row["source"], row["model"], row["metric"] if auroc else None


def _cells(some: Rows, rows: Rows, column: str) -> Iterable[tuple[str, str]]:
    held = {r[column]: f"{r['value']:.2f}" if r["kind"] == "published" else told(r) for r in some}
    return ((name, held.get(name, "")) for name in dict.fromkeys(r[column] for r in rows))
