"""Agreement: how far annotators judge alike, all together, in pairs, each of them, and by level of claim.

UNVERIFIABLE is a verdict as the others are: who says TRUE of what another cannot verify does not agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from curation import coincidences
from curation.coincidences import VERDICTS, alpha
from curation.errors import BadInput
from curation.intervals import Interval, estimated, ratio

if TYPE_CHECKING:
    import numpy as np

Rating = Mapping[str, Any]  # trace_id, clause_id, annotator, verdict, level (of the clause, as settled)


def krippendorff_alpha(ratings: Sequence[Sequence[Any]] | np.ndarray) -> float | None:
    """Return Krippendorff's alpha for nominal data: 1 full agreement, 0 as by chance, below 0 worse than that.

    Args:
        ratings: annotators x clauses, of any values; None (or NaN) where an annotator did not judge a clause.

    Returns:
        alpha, or None where it is undefined; `why_undefined` then tells why.

    Raises:
        BadInput: the annotators have not as many clauses each.

    Source: Krippendorff (2011), "Computing Krippendorff's alpha-reliability". tests/test_agreement.py holds it to the
    published examples, and to the library `krippendorff`, whose licence (GPL) keeps it out of what is installed.
    """
    counts = _matrix(ratings)
    return None if coincidences.undefined(counts) else float(coincidences.of_counts(counts)[0])


def why_undefined(ratings: Sequence[Sequence[Any]] | np.ndarray) -> str | None:
    """Tell why the alpha of ratings (annotators x clauses) is undefined; None where it is not."""
    return coincidences.undefined(_matrix(ratings))


def _matrix(ratings: Sequence[Sequence[Any]] | np.ndarray) -> np.ndarray:
    rows = [list(row) for row in ratings]
    if len({len(row) for row in rows}) > 1:
        raise BadInput(
            f"ratings: found annotators with {sorted({len(row) for row in rows})} clauses, wanted as many each"
        )
    units = [[v for v in unit if v is not None and v == v] for unit in zip(*rows, strict=True)]  # NaN is not itself
    return coincidences.matrix(units, list(dict.fromkeys(v for unit in units for v in unit)))[None]


def agreement(ratings: Iterable[Rating]) -> dict[str, Any]:
    """Measure how annotators agree, with intervals from resampled traces.

    Args:
        ratings: a row a clause and annotator, as the view `ratings` has them with the settled level.

    Returns:
        clauses (judged by two or more), alpha, same (the share of equal verdicts among all pairs of verdicts on one
        clause). levels: the same for each level. pairs: annotator, other, clauses (judged by both), same, kappa
        (Cohen's). annotators: annotator, clauses, TRUE, FALSE, UNVERIFIABLE, shared (clauses judged by another too),
        same (with the others), without (alpha of all others). Each measure X has X_low, X_high and X_why beside it.
    """
    rows = sorted(ratings, key=itemgetter("trace_id", "clause_id", "annotator"))
    levels = sorted({r["level"] for r in rows if r["level"]})
    names = sorted({r["annotator"] for r in rows})
    return {
        **_together(rows),
        "levels": [{"level": level, **_together([r for r in rows if r["level"] == level])} for level in levels],
        "pairs": [_pair(rows, *two) for two in combinations(names, 2)],
        "annotators": [_annotator(rows, name) for name in names],
    }


def _together(rows: Sequence[Rating]) -> dict[str, Any]:
    met = _meetings(rows)
    return {
        "clauses": len({r["clause_id"] for r, _ in met}),
        **alpha(rows).fields("alpha"),
        **_same(met).fields("same"),
    }


def _meetings(rows: Sequence[Rating]) -> list[tuple[Rating, Rating]]:
    """Return each two verdicts on one clause."""
    return [two for _, own in groupby(rows, key=itemgetter("clause_id")) for two in combinations(own, 2)]


def _same(met: Sequence[tuple[Rating, Rating]]) -> Interval:
    import numpy as np

    by = [list(own) for _, own in groupby(met, key=lambda two: two[0]["trace_id"])]
    found = [(sum(a["verdict"] == b["verdict"] for a, b in own), len(own)) for own in by]
    parts, wholes = np.array(found, dtype=float).reshape(-1, 2).T
    return ratio(parts, wholes, "traces with a clause judged by two")


def _annotator(rows: Sequence[Rating], name: str) -> dict[str, Any]:
    own = [r["verdict"] for r in rows if r["annotator"] == name]
    met = [two for two in _meetings(rows) if name in (two[0]["annotator"], two[1]["annotator"])]
    return {
        "annotator": name,
        "clauses": len(own),
        **{verdict: own.count(verdict) for verdict in VERDICTS},
        "shared": len({a["clause_id"] for a, _ in met}),
        **_same(met).fields("same"),
        **alpha([r for r in rows if r["annotator"] != name]).fields("without"),
    }


def _pair(rows: Sequence[Rating], name: str, other: str) -> dict[str, Any]:
    met = _meetings([r for r in rows if r["annotator"] in (name, other)])
    measures = {**_same(met).fields("same"), **cohen_kappa(met).fields("kappa")}
    return {"annotator": name, "other": other, "clauses": len(met), **measures}


def cohen_kappa(met: Sequence[tuple[Rating, Rating]]) -> Interval:
    """Return Cohen's kappa of two annotators on the clauses that both judged: scikit-learn's, with its interval.

    Args:
        met: their ratings of each clause, those of a trace together.

    Source: Cohen (1960), "A coefficient of agreement for nominal scales".
    """
    import numpy as np
    from sklearn.metrics import cohen_kappa_score

    if not met:
        return Interval(None, None, None, "no clause was judged by both")
    x, y = ([two[i]["verdict"] for two in met] for i in (0, 1))
    if len({*x, *y}) < 2:
        return Interval(None, None, None, "all verdicts are the same")
    by = [list(own) for _, own in groupby(met, key=lambda two: two[0]["trace_id"])]
    counts = np.zeros((len(by), len(VERDICTS), len(VERDICTS)))
    for trace, own in zip(counts, by, strict=True):
        for a, b in own:
            trace[VERDICTS.index(a["verdict"]), VERDICTS.index(b["verdict"])] += 1
    return estimated(float(cohen_kappa_score(x, y)), counts, kappa_of_counts)


def kappa_of_counts(counts: np.ndarray) -> np.ndarray:
    """Return kappas of tables of counts (n, values, values); NaN where both gave one and the same value alone."""
    import numpy as np

    total = counts.sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = np.trace(counts, axis1=1, axis2=2) / total
        chance = (counts.sum(axis=1) * counts.sum(axis=2)).sum(axis=1) / total**2
        return np.where(chance < 1, (observed - chance) / (1 - chance), np.nan)
