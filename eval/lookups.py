"""Look-ups: what a table of the train labels says of a test pair, with no model and no knowledge from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from curation.schema import LABELS
from eval.sql import query

if TYPE_CHECKING:
    import numpy as np

# which train examples (a) speak of a test example (t)
GENE_IN_LINE = "a.gene = t.gene AND a.cell_line = t.cell_line"
GENE_OTHER_LINES = "a.gene = t.gene AND a.cell_line <> t.cell_line"
PAIR_OTHER_LINES = "a.pert = t.pert AND a.gene = t.gene AND a.cell_line <> t.cell_line"
PERT_OTHER_LINES = "a.pert = t.pert AND a.cell_line <> t.cell_line"
LOT = 1e-9
PRIOR = 1.0  # rows that the shares of all train examples count for beside those that match


def counts(train: pa.Table, test: pa.Table, match: str) -> np.ndarray:
    """Return how many train examples of each label match each test example: (test rows, 3), as LABELS.

    Args:
        train: cell_line, pert, gene, label.
        test: cell_line, pert, gene.
        match: one of the rules above.
    """
    import duckdb
    import numpy as np

    with duckdb.connect() as con:
        con.register("train", train)
        con.register("test", test)
        found = con.sql(query("matching").replace("{match}", match)).fetchnumpy()
    return np.stack([found[name] for name in ("up", "down", "none")], axis=1).astype(float)


def one_hot(labels: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Return labels as (rows, 3) of 0 and 1, as LABELS."""
    import numpy as np
    import pyarrow.compute as pc

    place = pc.index_in(labels, value_set=pa.array(LABELS)).to_numpy(zero_copy_only=False)
    return (place[:, None] == np.arange(len(LABELS))).astype(float)


def shares(train: pa.Table) -> np.ndarray:
    """Return the share of each label among the train examples."""
    return one_hot(train["label"]).mean(axis=0)


def shrunk(found: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return counts as shares, drawn towards a prior by the weight of PRIOR rows: where nothing matches, the prior."""
    return (found + PRIOR * prior) / (found.sum(axis=1, keepdims=True) + PRIOR)


def gene_rates(train: pa.Table, test: pa.Table) -> np.ndarray:
    """Return how often each test gene takes each label in train: in its line, drawn towards the other lines.

    A line that has no train rows, as in a holdout, is so told of by the others alone.
    """
    elsewhere = shrunk(counts(train, test, GENE_OTHER_LINES), shares(train))
    return shrunk(counts(train, test, GENE_IN_LINE), elsewhere)


def majority(train: pa.Table, test: pa.Table) -> np.ndarray:
    """Return the shares of the labels in train, for every pair the same."""
    import numpy as np

    return np.tile(shares(train), (test.num_rows, 1))


def random(train: pa.Table, test: pa.Table, seed: int) -> np.ndarray:
    """Return a label drawn for each pair by the labels' shares in train, as 0 and 1; a pair's own in any order."""
    import hashlib

    import numpy as np

    ids = (hashlib.sha256(f"{seed}\x1f{i}".encode()).digest() for i in test["example_id"].to_pylist())
    drawn = np.array([[int.from_bytes(d[:8], "big"), int.from_bytes(d[8:16], "big")] for d in ids]) / 2**64
    share = shares(train)
    found = np.eye(len(LABELS))[np.searchsorted(np.cumsum(share)[:-1], drawn[:, 0], side="right")]
    changed = share[:2].sum()
    up = drawn[:, 1] * changed < share[0]
    found[:, :2] += LOT * np.column_stack([up, ~up])  # so that it has a direction wherever that alone is asked
    return np.minimum(found, 1.0)


def gene_in_line(train: pa.Table, test: pa.Table) -> np.ndarray:
    """Return how often the gene took each label in the same line; the shares of all where it is not in train."""
    return shrunk(counts(train, test, GENE_IN_LINE), shares(train))


def gene_other_lines(train: pa.Table, test: pa.Table) -> np.ndarray:
    """Return how often the gene took each label in the other lines."""
    return shrunk(counts(train, test, GENE_OTHER_LINES), shares(train))


def pert_other_lines(train: pa.Table, test: pa.Table) -> np.ndarray:
    """Return how often the perturbation gave each label in the other lines."""
    return shrunk(counts(train, test, PERT_OTHER_LINES), shares(train))


def pair_other_lines(train: pa.Table, test: pa.Table) -> np.ndarray:
    """Return the same pair's labels in the other lines, as shares of those lines; NaN where it stands in none."""
    import numpy as np

    found = counts(train, test, PAIR_OTHER_LINES)
    with np.errstate(invalid="ignore"):
        return found / found.sum(axis=1, keepdims=True)


def pair_else_gene(train: pa.Table, test: pa.Table) -> np.ndarray:
    """Return the same pair's labels in the other lines, drawn towards the gene's own rates, which stand in for it."""
    return shrunk(counts(train, test, PAIR_OTHER_LINES), gene_rates(train, test))
