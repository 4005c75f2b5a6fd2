"""Resamples of perturbations: cases about one knock-down share its biology and are not independent of each other.

Whole perturbations are drawn, with replacement. Weights that never are 0 (the Bayesian bootstrap) would keep every gene
in every resample, but a gene with two rows then has the same AUROC in all of them: on data as sparse as the benchmark
such intervals of the AUROC per gene held the true value in 35 to 80 % of cases, and not in 95 %.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from curation.intervals import FEWEST, SEED, Interval, draws, ends
from eval.metrics import codes
from eval.ranking import Ranked

ROUNDS = 1_000
AT_ONCE = 100_000  # numbers of one chunk of resamples: small enough for a processor's cache
FEW = f"interval not estimated: fewer than {FEWEST} perturbations"
SAME = "interval not estimated: all perturbations say the same"
UNDEFINED = "undefined: a class is missing or was never named"

Statistic = Callable[[np.ndarray], np.ndarray]


class Drawn(NamedTuple):
    """A statistic of some cases: its value, and that in each resample, where there are perturbations enough."""

    value: float
    values: np.ndarray | None
    perturbations: int

    def less(self, other: Drawn) -> Drawn:
        """Return the difference to another statistic of the same resamples."""
        values = None if self.values is None or other.values is None else self.values - other.values
        return Drawn(self.value - other.value, values, self.perturbations)

    def interval(self) -> Interval:
        """Return the value with its 95 % interval, or with why there is none."""
        if not np.isfinite(self.value):
            return Interval(None, None, None, UNDEFINED)
        if self.values is None or not np.isfinite(self.values).any():
            return Interval(self.value, None, None, FEW)
        low, high = ends(self.values, self.perturbations)
        return Interval(self.value, None, None, SAME) if low == high else Interval(self.value, low, high)


class Resamples:
    """Resamples of the perturbations of some cases; of as many perturbations and one seed they are the same.

    Attributes:
        clusters: (n,): number of each case's perturbation.
        size: number of perturbations.
    """

    def __init__(self, perts: np.ndarray, rounds: int = ROUNDS, seed: int = SEED) -> None:
        self.clusters = codes(perts)
        self.size = int(self.clusters.max(initial=-1)) + 1
        self._draws = draws(self.size, rounds, seed).astype(float) if self.size >= FEWEST else None

    def of_sums(self, sums: np.ndarray, statistics: Mapping[str, Statistic]) -> Iterator[tuple[str, Drawn]]:
        """Yield statistics of sums over cases.

        Args:
            sums: (perturbations, ...): what the cases of each add.
            statistics: name -> a function of sums (m, ...) to values (m,).
        """
        whole = sums.sum(axis=0)[None]
        drawn = None if self._draws is None else np.tensordot(self._draws, sums, 1)
        for name, statistic in statistics.items():
            yield name, Drawn(float(statistic(whole)[0]), None if drawn is None else statistic(drawn), self.size)

    def of_ranking(self, r: Ranked, statistic: Callable[[Ranked, np.ndarray], np.ndarray]) -> Drawn:
        """Return a statistic of an order of cases.

        Args:
            r: the cases, `ranked` with these clusters.
            statistic: weights (m, rows) to values (m,).
        """
        if not len(r.groups):
            return Drawn(float("nan"), None, self.size)
        value = float(statistic(r, np.ones((1, len(r.clusters))))[0])
        if self._draws is None:
            return Drawn(value, None, self.size)
        step = max(1, AT_ONCE // len(r.clusters))
        chunks = (self._draws[i : i + step, r.clusters] for i in range(0, len(self._draws), step))
        return Drawn(value, np.concatenate([statistic(r, weights) for weights in chunks]), self.size)
