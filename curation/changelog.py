"""Changelog: what a version changed, as its card tells it: rows in and out, the recipe, the prompts, the reader."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curation import comparing, diff, filters, named
from curation.errors import SynthpertError
from curation.reasons import Judge
from curation.rows import Config
from curation.schema import LABELS
from curation.store import Store
from curation.tallies import learned

MADE_BY = {
    "standard": "Standard prompt",
    "generator": "Generator's prompt",
    "critic": "Critic's prompt",
    "parser": "Reader of the answers",
}
TOLD = 5  # reasons of each kind


class Changelog(NamedTuple):
    """What changed from one version to the next, or why it cannot be told."""

    since: str  # NAME@VERSION
    splits: list[dict[str, Any]] = []  # split, before, after, added, removed, changed, labels (+n -n for each)
    remarks: list[str] = []  # sentences: the rows as wholes, recipe, prompts, parser
    reasons: dict[str, list[tuple[str, int]]] = {}  # in, out or changed -> why, rows
    why_not: str | None = None


def changelog(store: Store, since: str, configs: Sequence[Config], facts: Mapping[str, Any]) -> Changelog:
    """Return what a version that is being written, or was, has changed since another.

    Args:
        store: the store of both.
        since: NAME@VERSION.
        configs: its rows.
        facts: its manifest.
    """
    try:
        before = json.loads(named.find(store, since)["manifest"] or "{}")
        found = diff.since(store, since, _side(facts), _rows(configs))
    except SynthpertError as e:  # a version is not to fail because an earlier one can no longer be read
        return Changelog(since, why_not=str(e))
    recipe = comparing.recipe(found) or [f"Recipe: {found.recipe['a']}, as before."]
    return Changelog(
        since,
        [{**s, "labels": _labels(found.by, s["split"])} for s in found.splits],
        [*_remarks(found), *recipe, *_made_by(before, facts)],
        {name: rows for name, rows in _reasons(found).items() if rows},
    )


def _side(facts: Mapping[str, Any]) -> diff.Side:
    recipe = facts["recipe"]
    parsed = filters.parse(recipe["sql"], recipe["params"])
    judge = Judge(facts["store"], recipe["name"], parsed, recipe["params"])
    return diff.Side(f"{facts['name']}@{facts['version']}", judge, {"row_hash": facts["row_hash"]})


def _rows(configs: Sequence[Config]) -> pa.Table:
    """Return the rows as the table of members has them."""
    sides = [pa.repeat(side, c.sides[side].num_rows) for c in configs for side in ("train", "validation")]
    rows = learned(configs).select(["split", "trace_id", "example_id", "weight"])
    rows = rows.append_column("id", pc.coalesce(rows["trace_id"], rows["example_id"]))
    return rows.append_column("side", pa.chunked_array(sides))


def _labels(by: Iterable[Mapping[str, Any]], split: str) -> list[str]:
    own = [r for r in by if r["split"] == split]
    sums = [[sum(r[k] for r in own if r["label"] == label) for k in ("added", "removed")] for label in LABELS]
    return [f"+{more:,} −{less:,}" for more, less in sums]


def _remarks(found: diff.Diff) -> list[str]:
    """Return what is said of the rows as wholes; that some are simulated stands in the card's first line."""
    return [r for r in found.remarks if not r.startswith("Simulated")]


def _made_by(before: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    """Return whether prompts and parser are those of before."""
    old, new = ({"standard": [m["prompt"]["hash"]], **m["prompts"]} for m in (before, facts))
    said = []
    for key, what in MADE_BY.items():
        if not (versions := new.get(key)) or key not in old:  # direct answers have no prompt; old manifests no parser
            continue
        was, now = ", ".join(old[key]) or "none", ", ".join(versions)
        said.append(f"{what}: {now}, as before." if was == now else f"{what}: {was} -> {now}.")
    return said


def _reasons(found: diff.Diff) -> dict[str, list[tuple[str, int]]]:
    """Return the most frequent reasons, and how many rows the others have."""
    told = {
        "In": [(r["reason"], r["n"]) for r in found.reasons if r["fate"] == "added"],
        "Out": [(r["reason"], r["n"]) for r in found.reasons if r["fate"] == "removed"],
        "Changed": [(comparing.changed(c), c["n"]) for c in comparing.over_splits(found.changed_by)],
    }
    return {name: _most(rows) for name, rows in told.items()}


def _most(rows: list[tuple[str, int]]) -> list[tuple[str, int]]:
    rest = rows[TOLD:]
    return rows[:TOLD] + ([(f"{len(rest)} other reasons", sum(n for _, n in rest))] if rest else [])
