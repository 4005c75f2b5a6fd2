"""Ranking: how well scores order two classes, within groups or over all, for any weighting of the clusters.

A weighting says how often each cluster counts: once each is the point estimate, what a resample drew is one of the
bootstrap. Rows that no weighting can tell apart (one group, score and cluster) are counted once and kept as numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Ranked(NamedTuple):
    """Cases in the order of their groups and scores; groups of one class are left out."""

    clusters: np.ndarray  # (rows,): cluster of a row
    positive: np.ndarray  # (rows,): positive cases of a row
    negative: np.ndarray
    levels: np.ndarray  # (levels,): first row of each score within its group, from the lowest
    groups: np.ndarray  # (groups,): first level of each group
    skipped: int  # groups left out


def ranked(groups: np.ndarray, truth: np.ndarray, scores: np.ndarray, clusters: np.ndarray | None = None) -> Ranked:
    """Return cases in order.

    Args:
        groups: (n,): number of the group of each case, from 0.
        truth: (n,): whether it is positive.
        scores: (n,): finite.
        clusters: (n,): number of its cluster, from 0; None: one for all.
    """
    kept, skipped = _of_both_classes(groups, truth)
    clusters = np.zeros(len(groups), int) if clusters is None else clusters
    g, y, s, c = groups[kept], truth[kept], scores[kept], clusters[kept]
    order = np.lexsort((c, s, g))
    g, y, s, c = g[order], y[order], s[order], c[order]
    new_group = _changes(g)
    new_level = new_group | _changes(s)
    rows = np.flatnonzero(new_level | _changes(c))
    positive = np.add.reduceat(y.astype(float), rows) if len(rows) else np.zeros(0)
    counts = np.diff(np.append(rows, len(g)))
    levels = np.flatnonzero(new_level[rows])
    return Ranked(c[rows], positive, counts - positive, levels, np.flatnonzero(new_group[rows][levels]), skipped)


def _of_both_classes(groups: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, int]:
    """Return which cases are of groups that have both classes, and how many groups have one."""
    n, positive = np.bincount(groups), np.bincount(groups, weights=truth)
    both = (positive > 0) & (positive < n)
    return both[groups], int(((n > 0) & ~both).sum())


def _changes(values: np.ndarray) -> np.ndarray:
    """Return where a value differs from the one before it; the first does."""
    found = np.ones(len(values), bool)
    found[1:] = values[1:] != values[:-1]
    return found


def aurocs(r: Ranked, weights: np.ndarray) -> np.ndarray:
    """Return the AUROC of each group: the chance that of a case of each class the positive has the higher score.

    Args:
        r: the cases.
        weights: (resamples, rows): how often each row counts.

    Returns:
        (resamples, groups); NaN where a resample has one class of a group only.
    """
    positive, negative = _levels(r, weights)
    below = np.cumsum(negative, axis=1)  # runs on over the groups; what came before a group is taken off
    before = below[:, r.groups] - negative[:, r.groups]
    beaten = below - negative / 2 - np.repeat(before, np.diff(np.append(r.groups, len(r.levels))), axis=1)
    won, p, n = (np.add.reduceat(x, r.groups, axis=1) for x in (positive * beaten, positive, negative))
    with np.errstate(invalid="ignore"):
        return won / (p * n)


def _levels(r: Ranked, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight of positive and of negative cases at each score: two (resamples, levels)."""
    positive, negative = weights * r.positive, weights * r.negative
    if len(r.levels) == len(r.clusters):  # each score once
        return positive, negative
    return np.add.reduceat(positive, r.levels, axis=1), np.add.reduceat(negative, r.levels, axis=1)
