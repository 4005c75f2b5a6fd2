"""Sides: the two tables that a rule is made of and held against, and where the train side was taken from."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from curation.errors import BadInput
from curation.published import Published
from curation.store import Store
from eval.sql import query

EXAMPLE = ["example_id", "cell_line", "pert", "gene", "label"]


class Sides(NamedTuple):
    """A split's train and test examples, each once: tables of EXAMPLE."""

    dataset: str  # NAME@VERSION
    split: str
    train: pa.Table
    test: pa.Table
    source: str  # dataset: the rows that it trains on; store: all examples of the split's train side


def sides(dataset: Published, split: str, store: Store | None = None) -> Sides:
    """Return a split of a dataset as two tables of examples.

    Args:
        dataset: the dataset, whose test side is complete.
        split: the split.
        store: take all the examples on the split's train side from here, and not the dataset's rows alone: what a
            recipe has selected is a small part of what was measured.

    Raises:
        BadInput: no such split, a dataset without train rows, or a store that does not hold its examples.
    """
    test = _once(dataset.table(split, "test", EXAMPLE))
    own = _once(pa.concat_tables(dataset.table(split, side, EXAMPLE) for side in ("train", "validation")))
    named = f"{dataset.name}@{dataset.version}"
    if store is None:
        return Sides(named, split, own, test, "dataset")
    train, held = (store.sql(query("side"), {"split": split, "side": side}) for side in ("train", "test"))
    for side, rows, among in (("test", test, held), ("train", own, train)):
        if missing := set(rows["example_id"].to_pylist()) - set(among["example_id"].to_pylist()):
            found = f"{len(missing):,} examples of the {side} side of {named}, such as {min(missing)}, are not there"
            raise BadInput(f"{store.place}, split {split}: {found}; name the store that it was built from with --store")
    return Sides(named, split, train, test, "store")


def _once(rows: pa.Table) -> pa.Table:
    """Return each example once, in the order of its id: of one example a dataset may hold several traces."""
    return rows.group_by(EXAMPLE).aggregate([]).select(EXAMPLE).sort_by("example_id").combine_chunks()
