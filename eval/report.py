"""Report: scores as one self-contained page, with plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curation import pages, plots
from curation.plots import Range, Stack
from curation.report import Figure
from curation.runs import code_version
from curation.schema import now
from eval import curves, factuality, metrics, showing
from eval.answered import Answered, View, views
from eval.curves import Curve
from eval.gathering import Gathered
from eval.scoring import ALL
from eval.words import DE, DIRECTION

if TYPE_CHECKING:
    from curation.store import Store

COLOURS = (plots.BLUE, plots.VERMILLION, plots.SKY, plots.ORANGE, plots.YELLOW)
ANSWERS = {"up": plots.ORANGE, "down": plots.BLUE, "none": plots.GREY, "de": plots.ORANGE, "no answer": plots.YELLOW}
RULES = {"the model, with its interval": plots.BLUE, "each baseline": plots.VERMILLION}
POSITIVE = {DE: "genes that change", DIRECTION: "genes that rise"}
FEW = 4  # points, of hard answers: what lies between them is nothing that was measured
Rows = Sequence[Mapping[str, Any]]


def report(found: Gathered, rows: list[dict[str, Any]], out: Path | str, store: Store | None = None) -> None:
    """Write scores as a page.

    Args:
        found: the predictions.
        rows: their scores, and those of the baselines.
        out: the file to write; one that is there is overwritten.
        store: where experts' verdicts are, for how factual the datasets are.

    Raises:
        BadInput: the file cannot be written.
    """
    blocks = list(showing.blocks(rows))
    sections = [
        {
            "title": f"{split}, {task}",
            "figures": list(_figures(found.models, rows, split, task)),
            "tables": [b for b in blocks if b.rows and b.title.startswith(f"{split}, {task}:")],
        }
        for split, task in dict.fromkeys((r["split"], r["task"]) for r in rows)
    ]
    pages.write(
        out,
        "scores.html.j2",
        room="eval",
        code=code_version(),
        when=f"{now():%Y-%m-%d %H:%M} UTC",
        models=sorted({str(a.shared["model"]) for a in found.models}),
        datasets=sorted({str(a.shared["dataset"] or "a dataset that is not named") for a in found.models}),
        partial=_partial(rows),
        whole=all(a.whole for a in found.models),
        baselines=bool(found.baselines),
        simulated=found.simulated,
        sections=sections,
        factual=_factual(rows, store),
    )


def _partial(rows: Rows) -> list[str]:
    """Return in words which models did not predict everything."""
    some = [r for r in rows if r["cell_line"] == ALL and r["rows"] == ALL and r["kind"] == "model" and r["coverage"]]
    said = {(r["model"], r["split"], r["task"]): r["coverage"] for r in some if r["coverage"] < 1}
    return [f"{model}: {plots.percent(c)} of {split}, {task}" for (model, split, task), c in said.items()]


def _figures(models: Sequence[Answered], rows: Rows, split: str, task: str) -> Iterator[Figure]:
    own = [r for r in rows if (r["split"], r["task"]) == (split, task)]
    for name in dict.fromkeys(r["model"] for r in own if r["kind"] == "model"):
        yield from _by_line(name, own, task)
    seen = [(str(a.shared["model"]), v) for a in models if a.shared["split"] == split for v in views(a)]
    seen = [(name, v) for name, v in seen if v.task == task]
    yield from _precision_recall(seen)
    for name, view in seen:
        yield from _confusion(name, view)
    yield from _calibration(seen)


def _by_line(name: str, rows: Rows, task: str) -> Iterator[Figure]:
    metric = showing.HEADLINE[task]
    own = [r for r in rows if r["metric"] == metric and r["rows"] == ALL and r["value"] is not None]
    drawn, cells = [], []
    for r in (r for r in own if r["model"] == name):
        rules = {o["model"]: o["value"] for o in own if o["kind"] == "baseline" and o["cell_line"] == r["cell_line"]}
        drawn.append((Range(r["cell_line"], r["value"], r["low"], r["high"], showing.told(dict(r))), rules))
        best = max(rules, key=lambda k: rules[k]) if rules else None
        cells.append((r["cell_line"], showing.told(dict(r)), best or "", f"{rules[best]:.3f}" if best else ""))
    if drawn:
        title = f"{name}: {metric}"
        yield Figure(title, curves.beside(drawn, title), ("", metric, "best baseline", "its score"), cells, RULES)


def _precision_recall(seen: Sequence[tuple[str, View]]) -> Iterator[Figure]:
    drawn, cells = {}, []
    rates = [(v.truth[v.given] == 0).mean() for _, v in _scored(seen)]
    if rates:
        drawn["their share of all rows"] = Curve([(0.0, rates[0]), (1.0, rates[0])], plots.GREY)
    for (name, v), colour in zip(_scored(seen), COLOURS, strict=False):
        assert v.side is not None
        truth, score = v.truth[v.given] == 0, (v.side.yes + v.side.rest / 2)[v.given]
        if not truth.any():
            continue
        precision, recall = metrics.precision_recall(truth, score)
        points = list(zip(recall, precision, strict=True))
        drawn[name] = Curve(points, colour, dotted=len(points) <= FEW)
        cells += [(name, f"{r:.3f}", f"{p:.3f}") for r, p in curves.thinned(drawn[name].points)[:20]]
    if cells:
        title = f"Precision and recall of {POSITIVE[seen[0][1].task]}"
        svg = curves.curves(drawn, title, "recall", "precision")
        yield Figure(title, svg, ("", "recall", "precision"), cells, {n: c.colour for n, c in drawn.items()})


def _scored(seen: Sequence[tuple[str, View]]) -> list[tuple[str, View]]:
    return [(name, v) for name, v in seen if v.side is not None]


def _confusion(name: str, v: View) -> Iterator[Figure]:
    if v.answer is None:
        return
    k = len(v.classes)
    said = (*v.classes, "no answer")
    counts = np.bincount(v.truth[v.given] * (k + 1) + v.answer[v.given], minlength=k * (k + 1)).reshape(k, k + 1)
    shown = [(c, dict(zip(said, map(int, row), strict=True))) for c, row in zip(v.classes, counts, strict=True)]
    drawn = [Stack(f"measured: {c}", row) for c, row in shown if sum(row.values())]
    title = f"{name}: what was answered"
    colours = {c: ANSWERS[c] for c in said}
    cells = [(f"measured: {c}", *row.values()) for c, row in shown]
    yield Figure(title, plots.stacked(drawn, colours, title), ("", *said), cells, colours)


def _calibration(seen: Sequence[tuple[str, View]]) -> Iterator[Figure]:
    drawn, cells = {"perfect": Curve([(0.0, 0.0), (1.0, 1.0)], plots.GREY)}, []
    for (name, v), colour in zip(((n, v) for n, v in _scored(seen) if v.probable), COLOURS, strict=False):
        assert v.side is not None
        found = metrics.calibration((v.truth == 0)[v.given], (v.side.yes + v.side.rest / 2)[v.given])
        drawn[name] = Curve(list(zip(found.said, found.found, strict=True)), colour)
        cells += [(name, f"{s:.3f}", f"{f:.3f}", n) for n, s, f in zip(*map(list, found), strict=True)]
    if cells:
        title = f"Calibration, of {POSITIVE[seen[0][1].task]}"
        svg = curves.curves(drawn, title, "probability given", "share that is so")
        yield Figure(title, svg, ("", "probability", "share", "cases"), cells, {n: c.colour for n, c in drawn.items()})


def _factual(rows: Rows, store: Store | None) -> Figure | None:
    """Return the plot of scores against how factual the dataset's judged rows are, if several versions were scored."""
    known = factuality.of_versions(store) if store else {}
    whole = [r for r in rows if r["kind"] == "model" and r["cell_line"] == ALL and r["rows"] == ALL]
    heads = [r for r in whole if r["metric"] == showing.HEADLINE[r["task"]] and r["value"] is not None]
    some = [r for r in heads if r["dataset"] in known]
    if len({r["dataset"] for r in some}) < 2:
        return None
    named = {f"{r['model']}, {r['split']}, {r['task']}": (known[r["dataset"]], r["value"]) for r in some}
    points = {
        n: Curve([p], COLOURS[i % len(COLOURS)], joined=False, dotted=True) for i, (n, p) in enumerate(named.items())
    }
    cells = [
        (*(r[c] for c in ("model", "dataset", "split", "task")), f"{known[r['dataset']]:.3f}", f"{r['value']:.3f}")
        for r in some
    ]
    title = "Score against factuality"
    svg = curves.curves(points, title, "factuality of the dataset's judged rows", "score")
    head = ("model", "dataset", "split", "task", "factuality", "score")
    return Figure(title, svg, head, cells, {n: c.colour for n, c in points.items()}, words=4)
