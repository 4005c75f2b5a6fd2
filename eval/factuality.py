"""Factuality of predictions: how true what a model wrote is, where it was right and where it was wrong."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from curation.reviews import measure
from eval.sql import query

if TYPE_CHECKING:
    from curation.store import Store

ALL = "all"
COUNTS = ("traces", "clauses", "true", "false", "unverifiable", "unrated")


def of_predictions(store: Store) -> list[dict[str, Any]]:
    """Measure what experts found in predictions, right ones against wrong ones: the paper's Appendix B.

    Returns:
        A row a group (right, wrong) and level of claim (all, gene, pathway, ...): predictions, level, factuality (mean
        over predictions), low, high, why, the counts, and share, that of the level among the group's judged clauses.
        None where nobody has judged a prediction.
    """
    rows = store.rows(query("judged"))
    groups = {"right": [r for r in rows if r["correct"]], "wrong": [r for r in rows if not r["correct"]]}
    return [row for name, own in groups.items() if own for row in _by_level(name, own)]


def _by_level(name: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    judged = sum(r["verdict"] is not None for r in rows)
    levels = sorted({r["level"] for r in rows if r["level"]})
    found = []
    for level in (ALL, *levels):
        own = rows if level == ALL else [r for r in rows if r["level"] == level]
        measured = measure(own)
        mean = measured.macro
        found.append({
            "predictions": name, "level": level, "factuality": mean.value, "low": mean.low, "high": mean.high,
            **{c: getattr(measured, c) for c in COUNTS},
            "share": sum(r["verdict"] is not None for r in own) / judged if judged else None, "why": mean.why,
        })  # fmt: skip
    return found


def of_versions(store: Store) -> dict[str, float]:
    """Return the factuality of the judged rows of each version, NAME@VERSION -> mean over traces."""
    rows = groupby(store.rows(query("versions_judged")), key=itemgetter("version"))
    measured = {version: measure(own).macro.value for version, own in rows}
    return {version: value for version, value in measured.items() if value is not None}
