"""Noting: what an audit found, put into the store that a version was built from, for the version's card to tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curation import findings
from curation.published import Published
from curation.store import Store
from eval.audit import Audit


def note(store: Store, dataset: Published, audits: Sequence[Audit]) -> bool:
    """Note audits in a store if it holds the version that was audited; returns whether it does."""
    if not findings.holds(store, dataset):
        return False
    findings.note(store, dataset, "eval", "audit", {a.split: summary(a) for a in audits})
    return True


def summary(a: Audit) -> dict[str, Any]:
    """Return of an audit what a card tells, over all cell lines.

    Returns:
        source (dataset or store), train, test (examples), pert_seen, pair_seen (test examples whose perturbation, whose
        pair is in another line's train), agrees (share of pairs with the same label), copy_right, majority_right
        (shares of the pairs seen), traces, naming, own_pair, named (`traces_naming`), clean, resistant (test examples).
    """
    seen = _row(a.seen, test_line="all", train_line="any other")
    copying = _row(a.copying, test_line="all", rows="pair seen")
    sizes = _row(a.subsets, test_line="all")
    return {
        **{k: getattr(a, k) for k in ("source", "train", "test")},
        **{"pert_seen": seen["pert"], "pair_seen": seen["pair"], "agrees": seen["agrees"]},
        **{k: copying[k] for k in ("copy_right", "majority_right")},
        **{k: a.traces[k] for k in ("traces", "naming", "own_pair")},
        "named": a.traces["test_rows"],
        **{k: sizes[k] for k in ("clean", "resistant")},
    }


def _row(among: Sequence[Mapping[str, Any]], **where: str) -> Mapping[str, Any]:
    return next(r for r in among if all(r[k] == v for k, v in where.items()))
