"""Scores of 116,041 predictions, as many as PerturbQA's test side: against scikit-learn, and with their intervals.

Run `python -m benchmarks.scoring`. With PERTURBQA_DIR the pairs are the real ones, else drawn at random; the scores are
drawn at random either way. Both sides run in this process, in turn.
"""

from __future__ import annotations

import csv
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation.schema import LABELS, content_id
from eval import metrics, predictions, scoring
from eval.answered import lay

ROWS, PASSES = 116_041, 5
LINES = {"k562": "K562", "rpe1": "RPE1", "hepg2": "HepG2", "jurkat": "Jurkat"}


def pairs() -> list[tuple[str, str, str, str]]:
    """Return cell line, pert, gene and label of the test rows."""
    if not (data := os.environ.get("PERTURBQA_DIR")):
        rng = np.random.default_rng(0)
        drawn = rng.choice(316 * 5_000, ROWS // 4 + 1, replace=False)
        all_lines = [(line, f"P{n // 5_000}", f"G{n % 5_000}") for line in LINES.values() for n in drawn]
        labels = rng.choice(LABELS, len(all_lines), p=[0.066, 0.074, 0.86])
        return [(*pair, str(label)) for pair, label in zip(all_lines, labels, strict=True)][:ROWS]
    found = []
    for stem, line in LINES.items():
        with open(Path(data) / f"{stem}-de.csv") as f:
            rows = [r for r in csv.DictReader(f) if r["split"] == "test"]
        # up or down in turn: which of them does not matter to the time
        labels = (LABELS[n % 2] if r["label"] == "1" else LABELS[2] for n, r in enumerate(rows))
        found += [(line, r["pert"], r["gene"], label) for r, label in zip(rows, labels, strict=True)]
    return found


def table(rows: list[tuple[str, str, str, str]]) -> pa.Table:
    """Return predictions of them: probabilities drawn at random, each row another."""
    cell_line, pert, gene, label = zip(*rows, strict=True)
    p = np.random.default_rng(1).dirichlet([0.5, 0.5, 3], len(rows))
    columns = {"example_id": [content_id(*r[:3]) for r in rows], "cell_line": cell_line, "pert": pert, "gene": gene}
    given = {"p_up": p[:, 0], "p_down": p[:, 1], "p_none": p[:, 2]}
    return pa.table({**columns, "label": label, **given, **{k: [k] * len(rows) for k in ("split", "side")}})


def loop(genes: np.ndarray, truth: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean AUROC over genes as one writes it with scikit-learn: rows by gene, a call each."""
    from sklearn.metrics import roc_auc_score

    order = np.argsort(genes, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(genes[order])) + 1)
    return float(np.mean([roc_auc_score(truth[i], scores[i]) for i in parts if 0 < truth[i].sum() < len(i)]))


def points(genes: np.ndarray, truth: np.ndarray, scores: np.ndarray, labels: np.ndarray, said: np.ndarray) -> None:
    """Call scikit-learn for what `ours` tells."""
    from sklearn import metrics as theirs

    loop(genes, truth, scores)
    theirs.roc_auc_score(truth, scores)
    theirs.precision_recall_fscore_support(labels, said, zero_division=0)
    theirs.balanced_accuracy_score(labels, said)
    theirs.matthews_corrcoef(labels, said)
    theirs.accuracy_score(labels, said)


def ours(genes: np.ndarray, truth: np.ndarray, scores: np.ndarray, labels: np.ndarray, said: np.ndarray) -> None:
    """Tell the same, with eval.metrics."""
    metrics.auroc_per_gene(genes, truth, scores)
    metrics.auroc_pooled(truth, scores)
    counts = np.bincount(labels * 4 + said, minlength=12).reshape(3, 4)
    for metric in (metrics.precision, metrics.recall, metrics.f1, metrics.balanced_accuracy, metrics.mcc,
                   metrics.accuracy):  # fmt: skip
        metric(counts)


def seconds(what: str, work: Callable[..., Any], *given: Any, passes: int = PASSES) -> float:
    """Print and return the median seconds, of the wall and of the processors."""
    wall, cpu = [], []
    for _ in range(passes):
        began, spent = time.perf_counter(), time.process_time()
        work(*given)
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - spent)
    print(f"{what:44} {statistics.median(wall):7.3f} s  ({min(wall):.3f} to {max(wall):.3f})  "
          f"processors {statistics.median(cpu):7.3f} s")  # fmt: skip
    return statistics.median(wall)


def main() -> None:
    """Measure point estimates against scikit-learn, then all metrics with 1,000 resamples."""
    rows = table(pairs())
    print(f"{rows.num_rows:,} predictions, {'real' if os.environ.get('PERTURBQA_DIR') else 'made-up'} pairs")
    lined = pa.array([f"{a} {b}" for a, b in zip(*(rows[c].to_pylist() for c in ("cell_line", "gene")), strict=True)])
    genes = metrics.codes(lined)
    label = np.array([LABELS.index(x) for x in rows["label"].to_pylist()])
    p = np.stack([rows[c].to_numpy() for c in ("p_up", "p_down", "p_none")], axis=1)
    truth, scores, said = (label < 2).astype(int), p[:, 0] + p[:, 1], p.argmax(axis=1)
    assert abs(loop(genes, truth, scores) - metrics.auroc_per_gene(genes, truth, scores)) < 1e-12
    slow = seconds("AUROC per gene, scikit-learn", loop, genes, truth, scores)
    fast = seconds("AUROC per gene, eval.metrics", metrics.auroc_per_gene, genes, truth, scores)
    print(f"{slow / fast:.0f} times as fast")
    slow = seconds("all point estimates, scikit-learn", points, genes, truth, scores, label, said)
    fast = seconds("all point estimates, eval.metrics", ours, genes, truth, scores, label, said)
    print(f"{slow / fast:.0f} times as fast")
    whole = predictions.whole(rows, "rows")
    [(shared, own)] = predictions.sets(whole)
    laid = lay(own, shared, rows, "rows")
    seconds("all metrics, all lines, 1,000 resamples", scoring.score, [laid], passes=3)


if __name__ == "__main__":
    main()
