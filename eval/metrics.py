"""Metrics: arrays in, numbers out. What is undefined is NaN, never 0.

The two AUROCs ask different things. `auroc_per_gene` asks which perturbation moves a gene; a rule that knows only which
genes move at all gets 0.5. `auroc_pooled` pays for that knowledge too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from curation.errors import BadInput
from curation.schema import LABELS
from eval.ranking import Ranked, aurocs, ranked

BINS = 10


def auroc_per_gene(genes: ArrayLike, truth: ArrayLike, scores: ArrayLike) -> float:
    """Return the mean over genes of the AUROC among each gene's own cases: the benchmark's official metric.

    Args:
        genes: (n,): the gene of each case.
        truth: (n,): whether it is positive: 0 or 1.
        scores: (n,): finite; higher means likelier positive. Ties count half.

    Returns:
        0 to 1; NaN if no gene has both classes. Genes with one class are left out: `genes_scored` counts them.

    Raises:
        BadInput: the arrays differ in length, or hold what they may not.

    Source: Wu et al. (2024), PerturbQA, `auc_per_gene` of its code.
    """
    return _mean(ranked(codes(genes), *_cases(genes, truth, scores)))


def genes_scored(genes: ArrayLike, truth: ArrayLike) -> tuple[int, int]:
    """Return how many genes have both classes, and how many have one and are left out of `auroc_per_gene`."""
    y, scores = _cases(genes, truth, np.zeros(np.shape(truth)))
    r = ranked(codes(genes), y, scores)
    return len(r.groups), r.skipped


def auroc_pooled(truth: ArrayLike, scores: ArrayLike) -> float:
    """Return the AUROC over all cases at once, whatever their gene: what the SynthPert paper's published code computes.

    Args:
        truth: (n,): 0 or 1.
        scores: (n,): finite; ties count half.

    Returns:
        0 to 1; NaN if one class is missing.
    """
    y, s = _cases(truth, truth, scores)
    return _mean(ranked(np.zeros(len(y), int), y, s))


def precision_recall(truth: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return precision and recall of taking what has at least each score, from the highest to the lowest."""
    y, s = _cases(truth, truth, scores)
    order = np.argsort(-s, kind="stable")
    last = np.append(np.diff(s[order]) != 0, True)  # the last case of each score
    found, taken = np.cumsum(y[order])[last], (np.flatnonzero(last) + 1)
    return found / taken, found / y.sum()


def codes(values: ArrayLike) -> np.ndarray:
    """Return the number of each value, from 0 in the order in which they are first seen."""
    return pa.array(np.asarray(values).ravel()).dictionary_encode().indices.to_numpy(zero_copy_only=False)


def _mean(r: Ranked) -> float:
    return float(aurocs(r, _once(r)).mean()) if len(r.groups) else float("nan")


def _once(r: Ranked) -> np.ndarray:
    return np.ones((1, len(r.clusters)))


def _cases(beside: ArrayLike, truth: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and scores, refusing what no AUROC can be told of."""
    y, s = np.asarray(truth), np.asarray(scores, float)
    if not (np.shape(beside) == y.shape == s.shape and y.ndim == 1):
        raise BadInput(f"arrays of one length wanted, found {np.shape(beside)}, {y.shape} and {s.shape}")
    if not np.isin(y, (0, 1)).all():
        raise BadInput("truth: only 0 and 1 wanted")
    if not np.isfinite(s).all():
        raise BadInput("scores: found one that is not finite")
    return y.astype(bool), s


# -- of classes: from counts, so that sums of counts (of resamples, of subsets) have metrics too


def confusion(truth: ArrayLike, answers: ArrayLike, labels: Sequence[object] = LABELS) -> np.ndarray:
    """Return how often each label was answered with each: (labels, labels + 1); the last column is no answer.

    Args:
        truth: (n,): one of labels each.
        answers: (n,): anything that is none of them is no answer.
        labels: the classes.
    """
    place = {label: n for n, label in enumerate(labels)}
    y = np.array([place.get(t, -1) for t in np.asarray(truth, object)], int)
    a = np.array([place.get(t, len(labels)) for t in np.asarray(answers, object)], int)
    if len(y) != len(a) or (y < 0).any():
        raise BadInput("truth: as many labels as answers wanted, each one of the classes")
    shape = (len(labels), len(labels) + 1)
    return np.bincount(y * shape[1] + a, minlength=shape[0] * shape[1]).reshape(shape)


def accuracy(counts: np.ndarray) -> np.ndarray:
    """Return the share of right answers; no answer is a wrong one. Counts: (..., labels, labels + 1), as all below."""
    return _by(_right(counts).sum(-1), counts.sum((-2, -1)))


def precision(counts: np.ndarray) -> np.ndarray:
    """Return (..., labels): of the answers that name a label, the share that is right; NaN if it was never named."""
    return _by(_right(counts), counts.sum(-2)[..., :-1])


def recall(counts: np.ndarray) -> np.ndarray:
    """Return (..., labels): of the cases of a label, the share that was found; NaN if there is none."""
    return _by(_right(counts), counts.sum(-1))


def f1(counts: np.ndarray) -> np.ndarray:
    """Return (..., labels): the harmonic mean of precision and recall; NaN if neither is defined."""
    return _by(2 * _right(counts), counts.sum(-2)[..., :-1] + counts.sum(-1))


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Return the plain mean of F1 over labels that were there or were named."""
    return _nanmean(f1(counts))


def balanced_accuracy(counts: np.ndarray) -> np.ndarray:
    """Return the plain mean of recall over labels that were there."""
    return _nanmean(recall(counts))


def mcc(counts: np.ndarray) -> np.ndarray:
    """Return Matthews' correlation of truth and answers, where no answer is a class of its own.

    It is 0 where truth or answers are all the same. Source: Gorodkin (2004), the R_K statistic.
    """
    said, were, n = counts.sum(-2).astype(float), counts.sum(-1).astype(float), counts.sum((-2, -1)).astype(float)
    together = _right(counts).sum(-1) * n - (said[..., :-1] * were).sum(-1)
    spread = np.sqrt(n**2 - (said**2).sum(-1)) * np.sqrt(n**2 - (were**2).sum(-1))
    return np.where(n > 0, np.divide(together, spread, out=np.zeros_like(together), where=spread > 0), np.nan)


def _right(counts: np.ndarray) -> np.ndarray:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _by(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.true_divide(part, whole)


def _nanmean(values: np.ndarray) -> np.ndarray:
    return _by(np.nansum(values, axis=-1), np.isfinite(values).sum(-1))


# -- of probabilities


class Calibration(NamedTuple):
    """Cases by their probability, in tenths of 0 to 1: how many, mean probability, share that is positive."""

    n: np.ndarray
    said: np.ndarray
    found: np.ndarray

    @property
    def error(self) -> float:
        """Return the expected calibration error: the mean gap between said and found, weighted by cases."""
        return float(calibration_error(np.stack([self.n, self.n * self.said, self.n * self.found], axis=-1)))


def calibration(truth: ArrayLike, probabilities: ArrayLike) -> Calibration:
    """Return how often what was given a probability is true; parts without a case are left out."""
    y, p = _cases(truth, truth, probabilities)
    part = bins(p)
    n, said, found = (np.bincount(part, w, BINS) for w in (np.ones(len(p)), p, y))
    kept = n > 0
    return Calibration(n[kept].astype(int), said[kept] / n[kept], found[kept] / n[kept])


def bins(probabilities: np.ndarray) -> np.ndarray:
    """Return which tenth of 0 to 1 each probability is in, from 0; a border belongs to the lower one."""
    return np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], probabilities)


def calibration_error(sums: np.ndarray) -> np.ndarray:
    """Return the expected calibration error of (..., parts, 3): cases, sum of probabilities, positive cases."""
    return _by(np.abs(sums[..., 1] - sums[..., 2]).sum(-1), sums[..., 0].sum(-1))


def brier(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean squared difference of probability and outcome: 0 is perfect."""
    y, p = _cases(truth, truth, probabilities)
    return float(np.mean((p - y) ** 2)) if len(p) else float("nan")
