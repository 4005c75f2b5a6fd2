"""Scoring: sets of predictions into rows of scores, one a metric, cell line and part of the examples."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.intervals import SEED
from eval import metrics
from eval.answered import Answered, View, views
from eval.measuring import measured, unanswered
from eval.resampling import ROUNDS, Resamples

ALL = "all"
BASELINE = "baseline: "


class Part(NamedTuple):
    """Some of the examples: those of a cell line, or all; all rows, or a subset such as the clean ones."""

    cell_line: str
    rows: str
    wanted: np.ndarray  # (n,): whether an example is one


def score(
    answered: Sequence[Answered],
    subsets: Mapping[str, Mapping[str, Collection[str]]] | None = None,
    *,
    rounds: int = ROUNDS,
    seed: int = SEED,
) -> list[dict[str, Any]]:
    """Score sets of predictions.

    Args:
        answered: the sets.
        subsets: split -> name -> example_ids: parts of the examples that are scored apart, beside `all`.
        rounds: resamples of the perturbations, for the 95 % intervals.
        seed: of the resamples; the same one gives the same intervals.

    Returns:
        A row a set, task, cell line (and `all`), part of the rows and metric: split, task, cell_line, model, kind
        (model or baseline), metric, rows, value, low, high, n (predictions), unanswered, coverage (predictions of what
        was to be predicted; null where that is not known), score_kind, dataset, genes and genes_skipped (of
        auroc_per_gene), why (value or interval is missing). `auroc_per_gene` over all lines takes each gene in each
        line by itself.
    """
    jobs = [(a, part) for a in answered for part in parts(a, (subsets or {}).get(str(a.shared["split"]), {}))]
    pool = ThreadPoolExecutor(cpu_count())  # NumPy leaves Python's lock in its long loops
    try:
        scored = pool.map(lambda job: list(_rows(job[0], job[1], rounds, seed)), jobs)
        return [row for rows in scored for row in rows]
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C waits for what runs, and not for all that would


def parts(a: Answered, subsets: Mapping[str, Collection[str]]) -> Iterator[Part]:
    """Yield the parts of a set: each cell line and all, each with all of its rows and with each subset."""
    line = np.array(a.measured["cell_line"].to_pylist(), object)
    ids = a.measured["example_id"]
    for rows in (ALL, *subsets):
        among = np.ones(len(line), bool) if rows == ALL else _among(ids, subsets[rows])
        for cell_line in (ALL, *sorted(set(line))):
            yield Part(cell_line, rows, among if cell_line == ALL else among & (line == cell_line))


def _among(ids: pa.ChunkedArray, chosen: Collection[str]) -> np.ndarray:
    return pc.is_in(ids, value_set=pa.array(list(chosen), pa.string())).to_numpy()


def _rows(a: Answered, part: Part, rounds: int, seed: int) -> Iterator[dict[str, Any]]:
    chosen = part.wanted & a.given
    if not chosen.any():
        return
    perts, genes = pert_and_gene(a)
    drawn = Resamples(perts[chosen], rounds, seed)
    for view in views(a):
        shared = {
            "n": int(chosen.sum()),
            "unanswered": unanswered(view, chosen),
            "coverage": float(chosen.sum() / part.wanted.sum()) if a.whole else None,
            "score_kind": a.kind,
            "dataset": a.shared["dataset"],
        }
        for metric, statistic in measured(view, chosen, genes, drawn):
            found = statistic.interval()
            yield {
                **_named(a, view, part),
                "metric": metric,
                "rows": part.rows,
                "value": found.value,
                "low": found.low,
                "high": found.high,
                **shared,
                **_genes(metric, genes[chosen], view.truth[chosen]),
                "why": found.why,
            }


def _named(a: Answered, view: View, part: Part) -> dict[str, Any]:
    model = a.shared["model"] or ""
    kind = "baseline" if model.startswith(BASELINE) else "model"
    return {"split": a.shared["split"], "task": view.task, "cell_line": part.cell_line, "model": model, "kind": kind}


def pert_and_gene(a: Answered) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each example's perturbation, and that of its gene in its cell line."""
    perts, genes, lines = (metrics.codes(a.measured[c]) for c in ("pert", "gene", "cell_line"))
    return perts, genes * (int(lines.max(initial=0)) + 1) + lines


def _genes(metric: str, genes: np.ndarray, truth: np.ndarray) -> dict[str, int | None]:
    if metric != "auroc_per_gene":
        return {"genes": None, "genes_skipped": None}
    scored, skipped = metrics.genes_scored(genes, truth == 0)
    return {"genes": scored, "genes_skipped": skipped}
