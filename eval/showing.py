"""Showing: rows of scores as tables for people; the same ones in the terminal, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from curation.plots import percent
from eval.measuring import AUROCS, HALF, LEFT_OUT, OF_A_CLASS, OVER_CLASSES, WRONG
from eval.scoring import ALL
from eval.words import DE, DIRECTION, THREE_CLASS

HEADLINE = {THREE_CLASS: "accuracy", DE: "auroc_per_gene", DIRECTION: "auroc_per_gene"}
BESIDE = ("brier", "calibration_error")
MARK = " *"  # of a model that did not predict everything
Rows = Sequence[dict[str, Any]]


class Block(NamedTuple):
    """A table with its title and a remark; the cells of all columns but the first `words` are numbers or intervals."""

    title: str
    rows: list[dict[str, Any]]
    remark: str = ""
    words: int = 2


def blocks(rows: Rows) -> Iterator[Block]:
    """Yield the tables of scores, those of each split and task together."""
    for (split, task), own in _grouped(rows, "split", "task"):
        yield _by_line(split, task, own)
        yield _over_lines(split, task, own)
        yield _by_class(split, task, own)
        yield from _without_answer(split, task, own)


def text(rows: Rows, table: Callable[[list[dict[str, Any]]], str], heading: str = "{}") -> str:
    """Return the tables as text.

    Args:
        rows: of scores.
        table: how a table is written: `curation.printing.table` or `markdown`.
        heading: of a table's title.
    """
    return "\n\n".join(f"{heading.format(b.title)}\n{_remark(b)}\n{table(b.rows)}" for b in blocks(rows) if b.rows)


def _remark(b: Block) -> str:
    return f"{b.remark}\n" if b.remark else ""


def told(row: dict[str, Any]) -> str:
    """Return a score with its interval, in three figures: a hundredth is often what is at issue."""
    if row["value"] is None:
        return "undefined"
    shown = f"{row['value']:.3f}"
    return shown if row["low"] is None else f"{shown} ({row['low']:.3f} to {row['high']:.3f})"


def model(row: dict[str, Any]) -> str:
    """Return a model's name, marked if it did not predict everything."""
    return row["model"] + (MARK if partial(row) else "")


def partial(row: dict[str, Any]) -> bool:
    """Tell whether something that was to be predicted was not."""
    return row["coverage"] is not None and row["coverage"] < 1


def _grouped(rows: Rows, *columns: str) -> list[tuple[tuple[Any, ...], list[dict[str, Any]]]]:
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[c] for c in columns), []).append(row)
    return list(found.items())


def _by_line(split: str, task: str, rows: Rows) -> Block:
    metric = HEADLINE[task]
    own = [r for r in rows if r["metric"] == metric]
    lines = [ALL, *sorted({r["cell_line"] for r in own} - {ALL})]
    cells = []
    for (_, part), some in _grouped(own, "model", "rows"):
        scores = {r["cell_line"]: told(r) for r in some}
        cells.append({"model": model(some[0]), "rows": part, **{line: scores.get(line, "") for line in lines}})
    return Block(f"{split}, {task}: {metric} by cell line", cells, _what(metric, own))


def _what(metric: str, rows: Rows) -> str:
    """Return what stands behind the numbers of a table: answers or scores, genes, and how much was predicted."""
    pairs = dict.fromkeys((r["model"], r["score_kind"]) for r in rows if r["kind"] == "model")
    kinds = ", ".join(f"{name} {kind}" for name, kind in pairs)
    said = [f"Scores: {kinds}."] if kinds else []
    whole = [r for r in rows if r["cell_line"] == ALL and r["rows"] == ALL and r["kind"] == "model"]
    if metric == "auroc_per_gene":
        said += [f"{r['model']}: {r['genes']:,} genes have both classes, {r['genes_skipped']:,} have one and are left "
                 "out." for r in whole]  # fmt: skip
    said += [f"*{r['model']}: {percent(r['coverage'])} of what was to be predicted." for r in whole if partial(r)]
    return " ".join(said)


def _over_lines(split: str, task: str, rows: Rows) -> Block:
    names = [n for n in (*AUROCS, *OVER_CLASSES, *BESIDE) if any(r["metric"] == n for r in rows)]
    cells = []
    chosen = [r for r in rows if r["cell_line"] == ALL and (r["kind"] == "model" or r["rows"] == ALL)]
    for _, some in _grouped(chosen, "model", "rows"):
        scores, one = {r["metric"]: told(r) for r in some}, some[0]
        shown = {"model": model(one), "rows": one["rows"], "n": one["n"], "unanswered": one["unanswered"]}
        cells.append({**shown, **{n: scores.get(n, "") for n in names}})
    return Block(f"{split}, {task}: all cell lines", cells)


def _by_class(split: str, task: str, rows: Rows) -> Block:
    chosen = [r for r in rows if r["cell_line"] == ALL and r["rows"] == ALL and r["kind"] == "model"]
    names = [r["metric"] for r in chosen if r["metric"].startswith(tuple(f"{n}_" for n in OF_A_CLASS))]
    names = list(dict.fromkeys(names))
    cells = [
        {"model": model(some[0]), **{n: {r["metric"]: told(r) for r in some}.get(n, "") for n in names}}
        for _, some in _grouped(chosen, "model")
    ]
    return Block(f"{split}, {task}: by class, all cell lines", cells if names else [], words=1)


def _without_answer(split: str, task: str, rows: Rows) -> Iterator[Block]:
    """Yield what the scores would be if cases without an answer counted otherwise."""
    chosen = [r for r in rows if r["cell_line"] == ALL and r["rows"] == ALL and r["kind"] == "model"]
    cells = []
    for _, some in _grouped(chosen, "model"):
        scores = {r["metric"]: told(r) for r in some}
        for name in (*AUROCS, "accuracy"):
            if f"{name}_{LEFT_OUT}" not in scores:
                continue
            ways = {"as wrong": WRONG, "as 0.5": HALF, "left out": LEFT_OUT}
            cells.append({"model": model(some[0]), "metric": name,
                          **{way: scores.get(f"{name}_{s}", scores[name]) for way, s in ways.items()}})  # fmt: skip
    if cells:
        yield Block(f"{split}, {task}: cases without an answer, counted three ways", cells)
