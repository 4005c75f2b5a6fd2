"""Audit: what of a test side the train side tells already, how far copying it gets, and the part that is clean."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import BadInput
from curation.published import Published
from curation.schema import LABELS
from curation.store import Store
from eval import lookups
from eval.sides import EXAMPLE, Sides, sides
from eval.sql import query

if TYPE_CHECKING:
    import duckdb
    import numpy as np

SYMBOL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
LEARNED = ("train", "validation")


class Audit(NamedTuple):
    """What leaks from train into one split's test side."""

    dataset: str
    split: str
    source: str  # of the train examples: dataset or store
    train: int
    test: int
    seen: list[dict[str, Any]]  # test_line, train_line, test, pert, gene, pair (counts of test rows), agrees
    copying: list[dict[str, Any]]  # test_line, rows, n, copied, right, gene_right, both, majority: how far it gets
    prompts: dict[str, int]  # test rows whose question is nearly one of train
    traces: dict[str, int]  # of the dataset's own: with reasoning, that name a test pair, the test rows so named
    subsets: list[dict[str, Any]]  # test_line, clean, resistant: counts of test rows, and of those that change


def audit(dataset: Published, found: Sides) -> Audit:
    """Tell what of a split's test side stands on its train side.

    Args:
        dataset: the version, for its questions and traces.
        found: the split's examples.
    """
    named = traces_naming(dataset, found)
    return Audit(
        found.dataset,
        found.split,
        found.source,
        found.train.num_rows,
        found.test.num_rows,
        _asked("seen", train=found.train, test=found.test),
        list(_copying(found)),
        _prompts(dataset, found),
        {k: v for k, v in named.items() if isinstance(v, int)},
        list(_sizes(found)),
    )


def subsets(train: pa.Table, test: pa.Table) -> dict[str, list[str]]:
    """Return the parts of a test side on which looking up gets nowhere, as lists of example ids.

    Args:
        train: example_id, cell_line, pert, gene, label.
        test: the same.

    Returns:
        clean: the perturbation is on the train side of no line. resistant: both the gene's usual label and the copy of
        the pair's label from other lines (`pair-else-gene`) are wrong.
    """
    return {name: test["example_id"].filter(pa.array(mask)).to_pylist() for name, mask in _masks(train, test).items()}


def marked(found: Sides) -> pa.Table:
    """Return the test examples with the columns split, clean and resistant (whether each is)."""
    table = found.test.append_column("split", pa.repeat(found.split, found.test.num_rows))
    for name, mask in _masks(found.train, found.test).items():
        table = table.append_column(name, pa.array(mask))
    return table


def _masks(train: pa.Table, test: pa.Table) -> dict[str, np.ndarray]:
    known = pc.is_in(test["pert"], value_set=pc.unique(train["pert"])).to_numpy()
    gene, pair = lookups.gene_rates(train, test), lookups.pair_else_gene(train, test)
    wrong = [answered != truth(test) for answered in (_likeliest(gene), _likeliest(pair))]
    return {"clean": ~known, "resistant": wrong[0] & wrong[1]}


def truth(test: pa.Table) -> np.ndarray:
    """Return the labels of examples as places in LABELS: an array (rows,)."""
    return lookups.one_hot(test["label"]).argmax(axis=1)


def _likeliest(rates: np.ndarray) -> np.ndarray:
    """Return the place of the largest rate, of equal ones the last: the most common label."""
    return len(LABELS) - 1 - rates[:, ::-1].argmax(axis=1)


def _copying(found: Sides) -> Iterator[dict[str, Any]]:
    """Yield for each line, and all, how often a look-up is right, beside the majority's share of the same rows."""
    import numpy as np

    measured = truth(found.test)
    seen = lookups.counts(found.train, found.test, lookups.PAIR_OTHER_LINES)
    pair = lookups.pair_else_gene(found.train, found.test)
    right = {
        "copy_right": _likeliest(seen) == measured,
        "gene_right": _likeliest(lookups.gene_rates(found.train, found.test)) == measured,
        "both_right": _likeliest(pair) == measured,
        "majority_right": measured == int(np.argmax(lookups.shares(found.train))),
    }
    rows = {"pair seen": seen.sum(axis=1) > 0, "all": np.ones(len(measured), bool)}
    for line, own in _by_line(found.test):
        for name, some in rows.items():
            chosen = own & some
            shares = {k: float(v[chosen].mean()) if chosen.any() else None for k, v in right.items()}
            if name == "all":
                shares["copy_right"] = None  # there is nothing to copy for most rows
            yield {"test_line": line, "rows": name, "n": int(chosen.sum()), **shares}


def _sizes(found: Sides) -> Iterator[dict[str, Any]]:
    changed = truth(found.test) < 2
    masks = _masks(found.train, found.test)
    for line, own in _by_line(found.test):
        row: dict[str, Any] = {"test_line": line, "test": int(own.sum())}
        for name, mask in masks.items():
            row |= {name: int((own & mask).sum()), f"{name}_changed": int((own & mask & changed).sum())}
        yield row


def _by_line(test: pa.Table) -> Iterator[tuple[str, np.ndarray]]:
    import numpy as np

    lines = np.array(test["cell_line"].to_pylist(), object)
    for line in sorted(set(lines)):
        yield line, lines == line
    yield "all", np.ones(len(lines), bool)


def _prompts(dataset: Published, found: Sides) -> dict[str, int]:
    """Count the test rows whose question is nearly one of train; the texts are those of the dataset's own rows."""
    asked = pa.concat_tables(dataset.table(found.split, side, ["messages"]).select(["messages"]) for side in LEARNED)
    test = dataset.table(found.split, "test", [*EXAMPLE, "messages"])
    sql = "SELECT * EXCLUDE (messages), list_filter(messages, lambda m: m.role = 'user')[1].content AS question FROM"
    with _session(asked_rows=asked, test_rows=test, train=found.train) as con:
        con.execute(
            f"CREATE VIEW asked AS SELECT DISTINCT question FROM ({sql} (SELECT 0 AS n, messages FROM asked_rows))"
        )
        con.execute(f"CREATE VIEW test AS {sql} test_rows")
        return con.sql(query("prompts")).to_arrow_table().to_pylist()[0]


def traces_naming(dataset: Published, found: Sides) -> dict[str, Any]:
    """Look in the dataset's own train traces for the two symbols of a test pair.

    Returns:
        traces (train and validation rows with reasoning), naming (of them, those that name both genes of a test pair),
        own_pair (of those, whose own pair it is, in another line), test_rows (test rows whose pair is so named),
        example_ids (theirs).
    """
    pairs: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in found.test.select(["example_id", "pert", "gene"]).to_pylist():
        pairs[row["pert"]][row["gene"]].append(row["example_id"])
    columns = ["pert", "gene", "reasoning"]
    rows = [r for side in LEARNED for r in dataset.table(found.split, side, columns).to_pylist() if r["reasoning"]]
    named: set[str] = set()
    naming = own = 0
    for row in rows:
        words = set(SYMBOL.findall(row["reasoning"]))
        hits = [(p, g) for p in words & pairs.keys() for g in words & pairs[p].keys()]
        naming += bool(hits)
        own += (row["pert"], row["gene"]) in hits
        named |= {i for p, g in hits for i in pairs[p][g]}
    counts = {"traces": len(rows), "naming": naming, "own_pair": own, "test_rows": len(named)}
    return counts | {"example_ids": sorted(named)}


def _asked(name: str, **tables: pa.Table) -> list[dict[str, Any]]:
    with _session(**tables) as con:
        return con.sql(query(name)).to_arrow_table().to_pylist()


def _session(**tables: pa.Table) -> duckdb.DuckDBPyConnection:
    import duckdb

    con = duckdb.connect()
    for name, rows in tables.items():
        con.register(name, rows)
    return con


def audited(dataset: Published, split: str | None, store: Store | None, out: Path | None = None) -> list[Audit]:
    """Audit one split of a dataset or all of them.

    Args:
        dataset: the dataset.
        split: the split; None: all.
        store: the train side is all of the store's; None: the dataset's own train rows.
        out: a Parquet file for the test examples, with split, clean and resistant.

    Raises:
        BadInput: no such split, or the file cannot be written.
    """
    import pyarrow.parquet as pq

    both = [sides(dataset, name, store) for name in ([split] if split else dataset.splits)]
    found = [audit(dataset, one) for one in both]
    if out is not None:
        try:
            pq.write_table(pa.concat_tables(map(marked, both)), out, compression="zstd")
        except OSError as e:
            raise BadInput(f"{out}: {e.strerror or e}") from e
    return found
