"""Ruled: every baseline of every split of a dataset, scored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation.published import Published
from curation.store import Store
from eval.audit import subsets
from eval.baselines import NO_FILES, Files, predictions, rates
from eval.sides import sides
from eval.words import ASKED


def ruled(
    dataset: Published,
    split: str | None,
    store: Store | None,
    files: Files = NO_FILES,
    *,
    rounds: int = 200,
    seed: int = 0,
    out: Path | None = None,
    tell: Callable[[str], None] = lambda remark: None,
) -> list[dict[str, Any]]:
    """Score every baseline that the data at hand allows, for three-class and for direction.

    Args:
        dataset: the dataset whose test sides are answered for.
        split: one of its splits; None: all.
        store: where the rules look up; None: the dataset's own train rows.
        files: knowledge from elsewhere.
        rounds: resamples of the perturbations for the intervals.
        seed: of the random baseline and the resamples.
        out: a Parquet file for the predictions.
        tell: called with each remark.

    Returns:
        Rows of `scoring.score`.

    Raises:
        BadInput: no such split, or a file is not what it should be.
    """
    from eval.answered import lay
    from eval.predictions import sets, write
    from eval.scoring import score

    rows, made = [], []
    for name in [split] if split else dataset.splits:
        found = sides(dataset, name, store)
        tell(f"{name}: {found.train.num_rows:,} train examples of the {found.source}, {found.test.num_rows:,} test")
        facts = {"dataset": found.dataset, "split": name}
        said = rates(found.train, found.test, files=files, seed=seed, tell=tell)
        tables = [predictions(rule, own, found.test, task, facts) for task in ASKED for rule, own in said.items()]
        laid = [lay(table, shared, found.test, "a baseline") for t in tables for shared, table in sets(t)]
        rows += score(laid, {name: subsets(found.train, found.test)}, rounds=rounds, seed=seed)
        made += tables
    if out is not None:
        write(pa.concat_tables(made), out)
    return rows
