"""Measuring: every metric of one view of the answers, with its interval, on some of the examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from eval import metrics
from eval.answered import Side, View
from eval.ranking import Ranked, aurocs, ranked
from eval.resampling import Drawn, Resamples, Statistic

OVER_CLASSES = ("accuracy", "balanced_accuracy", "macro_f1", "mcc")
OF_A_CLASS = ("precision", "recall", "f1")
AUROCS = ("auroc_per_gene", "auroc_pooled")
WRONG, LEFT_OUT, HALF = "unanswered_wrong", "unanswered_left_out", "unanswered_half"  # what else they may count as


def measured(view: View, chosen: np.ndarray, genes: np.ndarray, drawn: Resamples) -> Iterator[tuple[str, Drawn]]:
    """Yield each metric of a view.

    Where there is no answer, AUROCs take the middle (0.5) and all other metrics a wrong answer. If any is missing,
    AUROCs and accuracy are told the other two ways as well.

    Args:
        view: the answers.
        chosen: (m,): the cases that count, all with a prediction.
        genes: (n,): number of the gene of each case, one for each cell line.
        drawn: resamples of the chosen cases' perturbations.
    """
    if view.side is not None:
        yield from _ranked(Side(view.side.yes[chosen], view.side.rest[chosen]), view.truth[chosen] == 0, genes[chosen],
                           drawn)  # fmt: skip
    if view.answer is not None:
        yield from _of_classes(view, chosen, drawn)
    if view.side is not None and view.probable:
        yield from _probable(view.side.yes[chosen] + view.side.rest[chosen] / 2, view.truth[chosen] == 0, drawn)


def unanswered(view: View, chosen: np.ndarray) -> int:
    """Return how many of the chosen cases have no answer."""
    return 0 if view.answer is None else int((view.answer[chosen] == len(view.classes)).sum())


# -- scores


def _ranked(side: Side, truth: np.ndarray, genes: np.ndarray, drawn: Resamples) -> Iterator[tuple[str, Drawn]]:
    middle = side.yes + side.rest / 2
    yield from _aurocs(truth, middle, genes, drawn)
    if side.rest.any():
        wrong = side.yes + np.where(truth, 0.0, side.rest)
        yield from _aurocs(truth, wrong, genes, drawn, f"_{WRONG}")
        kept = side.rest < 1
        left = np.divide(side.yes, 1 - side.rest, out=np.zeros(len(truth)), where=kept)
        yield from _aurocs(truth, left, genes, drawn, f"_{LEFT_OUT}", kept)


def _aurocs(
    truth: np.ndarray, scores: np.ndarray, genes: np.ndarray, drawn: Resamples, suffix: str = "",
    kept: np.ndarray | slice = slice(None),
) -> Iterator[tuple[str, Drawn]]:  # fmt: skip
    groups: tuple[tuple[str, np.ndarray, Callable[[Ranked, np.ndarray], np.ndarray]], ...] = (
        ("auroc_per_gene", genes, _mean_auroc),
        ("auroc_pooled", np.zeros(len(genes), int), _one_auroc),
    )
    for name, group, statistic in groups:
        r = ranked(group[kept], truth[kept], scores[kept], drawn.clusters[kept])
        yield name + suffix, drawn.of_ranking(r, statistic)


def _mean_auroc(r: Ranked, weights: np.ndarray) -> np.ndarray:
    found = aurocs(r, weights)
    defined = np.isfinite(found)
    with np.errstate(invalid="ignore"):
        return np.where(defined, found, 0).sum(axis=1) / defined.sum(axis=1)


def _one_auroc(r: Ranked, weights: np.ndarray) -> np.ndarray:
    return aurocs(r, weights)[:, 0]


# -- answers


def _of_classes(view: View, chosen: np.ndarray, drawn: Resamples) -> Iterator[tuple[str, Drawn]]:
    assert view.answer is not None
    k = len(view.classes)
    cells = (drawn.clusters * k + view.truth[chosen]) * (k + 1) + view.answer[chosen]
    counts = np.bincount(cells, minlength=drawn.size * k * (k + 1)).reshape(drawn.size, k, k + 1)
    yield from drawn.of_sums(counts, _statistics(view.classes, bool(counts[..., -1].any())))


def _statistics(classes: Sequence[str], gaps: bool) -> dict[str, Statistic]:
    """Return the metrics of a confusion matrix by name; if there are cases without an answer, accuracy three ways."""
    found: dict[str, Statistic] = {name: getattr(metrics, name) for name in OVER_CLASSES}
    if gaps:
        found |= {f"accuracy_{HALF}": _half_right, f"accuracy_{LEFT_OUT}": lambda c: metrics.accuracy(c[..., :-1])}
    return found | {f"{name}_{label}": _of_a_class(name, n) for name in OF_A_CLASS for n, label in enumerate(classes)}


def _of_a_class(name: str, n: int) -> Statistic:
    return lambda counts: getattr(metrics, name)(counts)[..., n]


def _half_right(counts: np.ndarray) -> np.ndarray:
    return metrics.accuracy(counts) + counts[..., -1].sum(-1) / counts.sum((-2, -1)) / 2


def _probable(p: np.ndarray, truth: np.ndarray, drawn: Resamples) -> Iterator[tuple[str, Drawn]]:
    def sums(parts: int, part: np.ndarray, *values: np.ndarray) -> np.ndarray:
        place = drawn.clusters * parts + part
        of_each = [np.bincount(place, v, drawn.size * parts).reshape(drawn.size, parts) for v in values]
        return np.stack(of_each, axis=-1)

    ones = np.ones(len(p))
    squares = sums(1, np.zeros(len(p), int), (p - truth) ** 2, ones)
    yield from drawn.of_sums(squares, {"brier": lambda c: c[:, 0, 0] / c[:, 0, 1]})
    tenths = sums(metrics.BINS, metrics.bins(p), ones, p, truth.astype(float))
    yield from drawn.of_sums(tenths, {"calibration_error": metrics.calibration_error})
