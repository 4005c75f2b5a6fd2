"""Intervals from resampled clusters: rows that share a trace, or a perturbation, are not independent of each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

RESAMPLES, SEED, LEVEL = 2_000, 0, 0.95
FEWEST = 4  # clusters; of fewer no resample says how much another cluster would differ


class Interval(NamedTuple):
    """A value with its 95 % interval; `why` tells what is missing where value or interval is."""

    value: float | None
    low: float | None
    high: float | None
    why: str | None = None

    def fields(self, name: str) -> dict[str, Any]:
        """Return it as columns of a row: NAME, NAME_low, NAME_high, NAME_why."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high, f"{name}_why": self.why}

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return "undefined" if self.value is None else f"{self.value:.2f}"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def bootstrap(counts: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """Return the 95 % interval of a statistic of sums, from 2,000 resamples of the clusters.

    Args:
        counts: (clusters, ...): what each cluster adds to the sums.
        statistic: sums (n, ...) to values (n,); NaN where it is undefined, and such resamples are left out.

    Source: the expanded percentile interval of Hesterberg (2015), "What teachers should know about the bootstrap",
    The American Statistician 69, section 3.3 there: percentiles so far out that the interval of a mean is as wide as
    Student's; the plain one is too narrow for few clusters.
    """
    import numpy as np

    return ends(statistic(np.tensordot(draws(len(counts)), counts, 1)), len(counts))


def draws(n: int, resamples: int = RESAMPLES, seed: int = SEED) -> np.ndarray:
    """Return how often each of n clusters is in each resample: (resamples, n)."""
    import numpy as np

    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), resamples)


def ends(values: np.ndarray, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a statistic from its values in resamples of n clusters; NaN are left out."""
    import numpy as np

    tail = _tail(n)
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _tail(n: int) -> float:
    """Return the share of resamples beyond either end of the interval."""
    from scipy.special import ndtr, stdtrit

    plain = (1 - LEVEL) / 2
    return float(ndtr((n / (n - 1)) ** 0.5 * stdtrit(n - 1, plain))) if n > 1 else plain


def estimated(
    value: float, counts: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], what: str = "traces"
) -> Interval:
    """Return a value with its interval, or with why there is none.

    Args:
        value: the statistic of all clusters.
        counts: as `bootstrap` takes them, without clusters that add nothing.
        statistic: as `bootstrap` takes it.
        what: what a cluster is, in the plural.
    """
    if len(counts) < FEWEST:
        return Interval(value, None, None, f"interval not estimated: fewer than {FEWEST} {what}")
    low, high = bootstrap(counts, statistic)
    if low == high:
        return Interval(value, None, None, f"interval not estimated: all {what} say the same")
    return Interval(value, low, high)


def ratio(parts: np.ndarray, wholes: np.ndarray, what: str = "traces") -> Interval:
    """Return sum(parts) / sum(wholes) with its interval.

    Args:
        parts: (clusters,): what counts, a cluster.
        wholes: (clusters,): of how many; of a mean of clusters, 1 each. A cluster with 0 adds nothing.
        what: what a cluster is, in the plural.
    """
    import numpy as np

    counts = np.stack([parts, wholes], axis=1)[np.asarray(wholes) > 0].astype(float)
    if not len(counts):
        return Interval(None, None, None, f"no {what}")
    return estimated(float(quotient(counts.sum(axis=0))), counts, quotient, what)


def quotient(sums: np.ndarray) -> np.ndarray:
    """Return first by second of (..., 2)."""
    import numpy as np

    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., 0] / sums[..., 1]


def wilson(right: int, n: int) -> Interval:
    """Return the share right / n with the 95 % score interval of Wilson (1927), for independent cases.

    That one is never of length 0, so that ten of ten do not look certain.
    """
    if not n:
        return Interval(None, None, None, "none judged")
    z = 1.959964
    share, scale = right / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    half = z / scale * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))
