"""Comparing: two models on the examples that both predicted, metric by metric and example by example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from curation.errors import BadInput
from curation.intervals import SEED
from curation.schema import LABELS
from eval.answered import Answered, View, views
from eval.measuring import measured
from eval.resampling import ROUNDS, Resamples
from eval.scoring import ALL, parts, pert_and_gene
from eval.showing import HEADLINE, told

SAID = (*LABELS, "no answer")
FATES = ("both right", "only A right", "only B right", "both wrong, alike", "both wrong, otherwise")


class Comparison(NamedTuple):
    """Where two models differ. Differences are B less A."""

    a: str
    b: str
    both: int  # examples, of all tasks and splits, that both predicted
    only_a: int
    only_b: int
    metrics: list[dict[str, Any]]  # split, task, cell_line, metric, a, b, difference, low, high, n, why
    fates: list[dict[str, Any]]  # split, task, label, and a count each of FATES
    changed: list[dict[str, Any]]  # split, task, example_id, cell_line, pert, gene, label, a, b: other answers


def compare(a: Sequence[Answered], b: Sequence[Answered], *, rounds: int = ROUNDS, seed: int = SEED) -> Comparison:
    """Compare two models on the examples that both predicted.

    Args:
        a: the sets of one model: at most one a task, split and side.
        b: those of the other one.
        rounds: resamples of the perturbations, the same ones for both, so that what is hard for both cancels out.
        seed: of the resamples.

    Raises:
        BadInput: a file holds several models; or the two have no task and split, or no example, in common.
    """
    one, two = _by_task(a), _by_task(b)
    shared = [key for key in one if key in two]
    if not shared:
        raise BadInput(f"nothing to compare: A is of {_told(one)}, B of {_told(two)}")
    pairs = [_aligned(one[key], two[key]) for key in shared]
    if not any(p.both.any() for p in pairs):
        raise BadInput("nothing to compare: no example was predicted by both")
    return Comparison(
        _models(a),
        _models(b),
        sum(int(p.both.sum()) for p in pairs),
        sum(p.only_a for p in pairs),
        sum(p.only_b for p in pairs),
        [row for p in pairs for row in _metrics(p, rounds, seed)],
        [row for p in pairs for row in _fates(p)],
        [row for p in pairs for row in _changed(p)],
    )


class Pair(NamedTuple):
    """Two sets over the same examples."""

    a: Answered
    b: Answered
    both: np.ndarray  # (n,): whether both predicted an example
    only_a: int
    only_b: int

    @property
    def shared(self) -> dict[str, Any]:
        """Split and task."""
        return {k: self.a.shared[k] for k in ("split", "task")}


def _by_task(sets: Sequence[Answered]) -> dict[tuple[str | None, ...], Answered]:
    found: dict[tuple[str | None, ...], Answered] = {}
    for one in sets:
        key = tuple(one.shared[k] for k in ("split", "side", "task"))
        if key in found:
            models = f"{found[key].shared['model']} and {one.shared['model']}"
            raise BadInput(f"a comparison is of two models, and one file holds {models} for {' '.join(map(str, key))}")
        found[key] = one
    return found


def _models(sets: Sequence[Answered]) -> str:
    return " and ".join(dict.fromkeys(str(one.shared["model"]) for one in sets))


def _told(sets: dict[tuple[str | None, ...], Answered]) -> str:
    return " and ".join(" ".join(map(str, key)) for key in sets)


def _aligned(a: Answered, b: Answered) -> Pair:
    """Return both sets over the examples of A; without a dataset each has its own."""
    ids = {key: n for n, key in enumerate(b.measured["example_id"].to_pylist())}
    at = np.array([ids.get(key, -1) for key in a.measured["example_id"].to_pylist()])
    inside = at >= 0
    if (a.truth[inside] != b.truth[at[inside]]).any():
        raise BadInput("the two files tell of other measured outcomes: name the dataset (--dataset)")
    both = inside & a.given & b.given[at]
    rest = {k: getattr(b, k)[at] for k in ("answer", "probabilities", "score")}
    laid = b._replace(measured=a.measured, truth=a.truth, given=both, **rest)
    n = int(both.sum())
    return Pair(a, laid, both, int(a.given.sum()) - n, int(b.given.sum()) - n)


def _metrics(p: Pair, rounds: int, seed: int) -> list[dict[str, Any]]:
    perts, genes = pert_and_gene(p.a)
    found = []
    for part in parts(p.a, {}):
        chosen = part.wanted & p.both
        if not chosen.any():
            continue
        drawn = Resamples(perts[chosen], rounds, seed)
        for one, two in zip(*(_views(x) for x in p[:2]), strict=False):
            ours = dict(measured(two, chosen, genes, drawn))
            for metric, was in measured(one, chosen, genes, drawn):
                if metric not in ours:
                    continue
                gap = ours[metric].less(was).interval()
                found.append({
                    "split": p.a.shared["split"], "task": one.task, "cell_line": part.cell_line, "metric": metric,
                    "a": was.interval().value, "b": ours[metric].interval().value, "difference": gap.value,
                    "low": gap.low, "high": gap.high, "n": int(chosen.sum()), "why": gap.why,
                })  # fmt: skip
    return found


def _views(a: Answered) -> list[View]:
    """Return the views of a set from the one that every set has."""
    return views(a)[::-1]


def _said(a: Answered) -> np.ndarray:
    return np.array(SAID, object)[a.answer]


def _fates(p: Pair) -> list[dict[str, Any]]:
    if not _labelled(p):
        return []
    a, b = p.a.answer[p.both], p.b.answer[p.both]
    truth = p.a.truth[p.both]
    right = (a == truth, b == truth)
    wrong = ~right[0] & ~right[1]
    masks = (right[0] & right[1], right[0] & ~right[1], ~right[0] & right[1], wrong & (a == b), wrong & (a != b))
    return [
        {**p.shared, "label": label, **{f: int((m & (truth == n)).sum()) for f, m in zip(FATES, masks, strict=True)}}
        for n, label in enumerate(LABELS)
        if (truth == n).any()
    ]


def _changed(p: Pair) -> list[dict[str, Any]]:
    if not _labelled(p):
        return []
    chosen = np.flatnonzero(p.both & (p.a.answer != p.b.answer))
    said_a, said_b = _said(p.a), _said(p.b)
    rows = p.a.measured.take(chosen).to_pylist()
    return [{**p.shared, **row, "a": said_a[n], "b": said_b[n]} for n, row in zip(chosen, rows, strict=True)]


def _labelled(p: Pair) -> bool:
    """Tell whether both models name labels, and not scores alone."""
    return all((a.answer[p.both] < len(LABELS)).any() for a in (p.a, p.b))


def moves(found: Comparison) -> list[dict[str, Any]]:
    """Return how often which answer became which, the most frequent first."""
    counted = Counter((r["label"], r["a"], r["b"]) for r in found.changed)
    return [{"label": label, "a": a, "b": b, "n": n} for (label, a, b), n in counted.most_common()]


# -- for people

LISTED = 10  # changed examples in the text; --json has them all


def text(found: Comparison, table: Callable[[list[dict[str, Any]]], str], heading: str = "{}") -> str:
    """Return a comparison as text: the headline by cell line, all metrics over all lines, and what changed."""
    head = f"A: {found.a}\nB: {found.b}\n{found.both:,} predicted by both" + "".join(
        f", {n:,} by {name} alone (left out)" for name, n in (("A", found.only_a), ("B", found.only_b)) if n
    )
    blocks = [head]
    for split, task in dict.fromkeys((r["split"], r["task"]) for r in found.metrics):
        own = [r for r in found.metrics if (r["split"], r["task"]) == (split, task)]
        lines = [r for r in own if r["metric"] == HEADLINE[task]]
        whole = [r for r in own if r["cell_line"] == ALL]
        blocks.append(f"{heading.format(f'{split}, {task}: {HEADLINE[task]}')}\n{table(_shown(lines, 'cell_line'))}")
        blocks.append(f"{heading.format(f'{split}, {task}: all cell lines')}\n{table(_shown(whole, 'metric'))}")
    if found.fates:
        blocks.append(f"{heading.format('Right and wrong, by label')}\n{table(found.fates)}")
    if found.changed:
        few = [{k: r[k] for k in ("cell_line", "pert", "gene", "label", "a", "b")} for r in found.changed[:LISTED]]
        title = heading.format(f"{len(found.changed):,} examples have another answer")
        blocks.append(f"{title}\n{table(moves(found))}\n\nThe first {len(few)} (--json has all):\n{table(few)}")
    return "\n\n".join(blocks)


def _shown(rows: Sequence[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    return [
        {
            column: r[column],
            "A": _figure(r["a"]),
            "B": _figure(r["b"]),
            "B less A": told({**r, "value": r["difference"]}),
            "n": r["n"],
        }
        for r in rows
    ]


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
