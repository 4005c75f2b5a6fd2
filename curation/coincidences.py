"""Agreement of annotators as counts: Krippendorff's alpha of sums over traces, which can be resampled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from curation.intervals import Interval, estimated

if TYPE_CHECKING:
    import numpy as np

VERDICTS = ("TRUE", "FALSE", "UNVERIFIABLE")


def alpha(ratings: Iterable[Mapping[str, Any]]) -> Interval:
    """Return Krippendorff's alpha (nominal) of verdicts on clauses, with the interval from resampled traces.

    Args:
        ratings: trace_id, clause_id, verdict: a row a clause and annotator, all rows of a trace together and all of a
            clause. UNVERIFIABLE is a value as the others are.
    """
    import numpy as np

    found = []
    for _, rows in groupby(ratings, key=itemgetter("trace_id")):
        clauses = [[r["verdict"] for r in own] for _, own in groupby(rows, key=itemgetter("clause_id"))]
        found.append(matrix(clauses, VERDICTS))
    counts = np.array([m for m in found if m.any()])
    if why := undefined(counts):
        return Interval(None, None, None, why)
    return estimated(float(of_counts(counts.sum(axis=0, keepdims=True))[0]), counts, of_counts)


def matrix(units: Iterable[Sequence[Hashable]], values: Sequence[Hashable]) -> np.ndarray:
    """Return the coincidence matrix of units: (values, values).

    Args:
        units: what each unit was called by those who called it anything.
        values: the values there are.

    Source: Krippendorff (2011), "Computing Krippendorff's alpha-reliability", step 2: each of a unit's m values meets
    each other one, with weight 1 / (m - 1); a unit with one value has none to meet.
    """
    import numpy as np

    found = np.zeros((len(values), len(values)))
    for unit in units:
        if len(unit) > 1:
            n = Counter(unit)
            own = np.array([n[v] for v in values])
            found += (np.outer(own, own) - np.diag(own)) / (len(unit) - 1)
    return found


def of_counts(counts: np.ndarray) -> np.ndarray:
    """Return alphas of coincidence matrices (n, values, values); NaN where all values are one and the same.

    Source: there, nominal data: 1 - (n - 1) * (observed unequal) / (sum of n_c n_k over unequal c, k).
    """
    import numpy as np

    n = counts.sum(axis=2)
    total = n.sum(axis=1)
    unequal = total - np.trace(counts, axis1=1, axis2=2)
    expected = total**2 - (n**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - (total - 1) * unequal / expected, np.nan)


def undefined(counts: np.ndarray) -> str | None:
    """Tell why the alpha of coincidence matrices (n, values, values) is undefined; None where it is not."""
    if not len(counts) or not counts.any():
        return "no clause was judged by two annotators"
    return "all verdicts are the same" if (counts.sum(axis=(0, 1)) > 0).sum() < 2 else None
