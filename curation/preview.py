"""Preview: what a recipe would select, counted; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from curation import recipes, views
from curation.recipes import candidates
from curation.rows import part
from curation.selection import SPLITS, query
from curation.store import Snapshot, Store


class Preview(NamedTuple):
    """What a build of a recipe would hold, but for the test side, which is the split's own."""

    recipe: str
    about: str
    params: dict[str, Any]
    totals: list[dict[str, Any]]  # split, train, validation
    by: list[dict[str, Any]]  # split, cell_line, label, grade (null: not graded, or no trace), train, validation


def preview(store: Store, recipe: str, params: Mapping[str, object] | None = None) -> Preview:
    """Count what a recipe would select from the store as it is, by split, cell line, label and grade.

    Args:
        store: the store; nothing is written to it.
        recipe: name of a shipped recipe, or path of an own .sql file.
        params: values of the recipe's parameters, for those that are not to have their defaults.

    Raises:
        RecipeError: a build of it would be refused.
    """
    chosen, at = recipes.load(recipe), store.snapshot()
    found = recipes.choose(store, chosen, SPLITS, at, params)
    by = [row for split, rows in found.items() for row in _counted(store, rows, split, at)]
    totals = [
        {"split": s, **{side: sum(r[side] for r in by if r["split"] == s) for side in ("train", "validation")}}
        for s in SPLITS
    ]
    return Preview(chosen.name, chosen.about, recipes.values(chosen, params), totals, by)


def _counted(store: Store, found: pa.Table, split: str, at: Snapshot) -> list[dict[str, Any]]:
    with store.session(at, views.needed("examples")) as con:
        part(con, found, split)
        con.register("narrowed", candidates.table(store, at if found["trace_id"].null_count == 0 else {}))
        counted = con.sql(query("previewed"), params={"split": split}).to_arrow_table().to_pylist()
    return [{"split": split, **row} for row in counted]
