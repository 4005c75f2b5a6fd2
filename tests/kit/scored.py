"""Predictions to score: tables of examples, and of answers about them drawn at random."""

import numpy as np
import pyarrow as pa

from curation.schema import LABELS, content_id
from eval import predictions, scoring
from eval.answered import lay

UP, DOWN, NONE = LABELS
LINES = ("K562", "RPE1")


def examples(n=240, seed=0, perts=12, genes=10):
    """What was measured: n examples in two cell lines."""
    rng = np.random.default_rng(seed)
    pairs = [(line, f"P{p}", f"G{g}") for line in LINES for p in range(perts) for g in range(genes)][:n]
    labels = np.array(LABELS, object)[rng.choice(3, len(pairs), p=[0.2, 0.2, 0.6])]
    rows = [
        {"example_id": content_id(*pair), "cell_line": pair[0], "pert": pair[1], "gene": pair[2], "label": label}
        for pair, label in zip(pairs, labels, strict=True)
    ]
    return pa.Table.from_pylist(rows)


def predicted(measured, columns, **shared):
    """Predictions about examples: columns of their own (name -> values), and what all share."""
    base = {"task": "three-class", "model": "m", "dataset": "d@1.0.0", "split": "default", "side": "test"} | shared
    table = measured
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    for name, value in base.items():
        if value is not None:
            table = table.append_column(name, pa.repeat(value, measured.num_rows))
    return table


def guessed(measured, right=0.6, seed=1, gaps=0.1):
    """Answers of which a share is right and a share is none."""
    rng = np.random.default_rng(seed)
    labels = np.array(measured["label"].to_pylist(), object)
    other = np.array(LABELS, object)[rng.integers(0, 3, len(labels))]
    answers = np.where(rng.random(len(labels)) < right, labels, other)
    return [None if rng.random() < gaps else a for a in answers]


def probabilities(measured, seed=2):
    """Probabilities that lean to what was measured: p_up, p_down, p_none."""
    rng = np.random.default_rng(seed)
    truth = np.array([LABELS.index(label) for label in measured["label"].to_pylist()])
    p = rng.dirichlet([0.4, 0.4, 1.2], len(truth)) + 0.5 * np.eye(3)[truth] * rng.random((len(truth), 1))
    p /= p.sum(axis=1, keepdims=True)
    return {"p_up": p[:, 0], "p_down": p[:, 1], "p_none": p[:, 2]}


MEASURED = examples()


def laid(columns, measured=MEASURED, rows=None, whole=True, **shared):
    given = predicted(measured if rows is None else rows, columns, **shared)
    [(of, own)] = predictions.sets(predictions.whole(given, "p"))
    return lay(own, of, measured if whole else None, "p")


def by(scores, **wanted):
    wanted = {"cell_line": "all", "rows": "all"} | wanted
    return [r for r in scores if all(r[k] == v for k, v in wanted.items())]


def value(scores, metric, **wanted):
    [row] = by(scores, metric=metric, **wanted)
    return row["value"]


def hard():
    """Scores of hard answers."""
    return scoring.score([laid({"answer": guessed(MEASURED)})], rounds=200)
