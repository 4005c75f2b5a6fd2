"""The published row: what a dataset holds, column by column, and the hash that says whether two hold the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import orjson
import pyarrow as pa

from curation import views
from curation.errors import RecipeError
from curation.prompting import Prompt
from curation.schema import BOOL, FLOAT, INT, MESSAGES, STRING
from curation.selection import query
from curation.store import Snapshot, Store

if TYPE_CHECKING:
    import duckdb

SIDES = ("train", "validation", "test")

COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "messages": (MESSAGES, "chat messages: system, user and, but for test, the assistant's turn to train on"),
    "example_id": (STRING, "id of the measured effect"),
    "trace_id": (STRING, "id of the trace; null for rows without reasoning"),
    "cell_line": (STRING, "cell line"),
    "pert": (STRING, "gene knocked down"),
    "gene": (STRING, "gene read out"),
    "label": (STRING, "measured outcome"),
    "reasoning": (STRING, "the generator's reasoning"),
    "answer": (STRING, "the generator's answer"),
    "approach": (STRING, "explain: the generator was shown the outcome; blind: it was not"),
    "generator": (STRING, "model that wrote the trace"),
    "generator_prompt": (STRING, "version of its prompt"),
    "parser": (STRING, "version of the reader of its answer"),
    "critic": (STRING, "model@prompt of the newest valid grade"),
    "grade": (STRING, "that grade"),
    "justification": (STRING, "the critic's words"),
    "factuality": (FLOAT, "share of rated clauses that experts found true; null where none is rated"),
    "clauses_rated": (INT, "clauses that experts rated true or false"),
    "clauses_false": (INT, "those of them rated false"),
    "prompt": (STRING, "version of the standard prompt in `messages`"),
    "finish_reason": (STRING, "why the generator stopped"),
    "tokens_in": (INT, "the generator's prompt tokens"),
    "tokens_out": (INT, "the generator's completion tokens"),
    "usd": (FLOAT, "price of the generator's answer in dollars; null = unknown"),
    "weight": (FLOAT, "weight given by the recipe; null in test"),
    "simulated": (BOOL, "whether anything in the row comes from a rehearsal"),
    "source": (STRING, "benchmark of the example"),
    "licence": (STRING, "its licence"),
}
SCHEMA = pa.schema([(name, kind) for name, (kind, _) in COLUMNS.items()])


class Config(NamedTuple):
    """One split of a dataset: its rows by side, and the hash of them all."""

    split: str
    sides: Mapping[str, pa.Table]
    hash: str


def published(
    store: Store, chosen: Mapping[str, pa.Table], standard: Prompt, at: Snapshot
) -> dict[str, dict[str, pa.Table]]:
    """Return the rows of each split by side, each in the order of its ids.

    Args:
        store: the store.
        chosen: what a recipe selected, by split: trace_id, example_id, weight.
        standard: the prompt that the model is trained and asked with.
        at: the snapshot they are read from.

    Raises:
        RecipeError: the rows are of one perturbation only, so nothing is left to train or to validate on.
    """
    params = {"system": standard.system, "user": standard.user, "prompt": standard.hash}
    columns = ", ".join(("side", *COLUMNS))
    sql = f"SELECT {columns} FROM ({query('rows')}) ORDER BY side, trace_id, example_id"
    found = {}
    with store.session(at, views.needed(sql)) as con:  # one for all: making the views takes longer than a query
        for split, rows in chosen.items():
            part(con, rows, split)
            found[split] = _sides(con.sql(sql, params={**params, "split": split}).to_arrow_table())
            _assert_apart(found[split], split)
    return found


def _sides(rows: pa.Table) -> dict[str, pa.Table]:
    """Cut rows in the order of their sides, without a copy: they may be gigabytes."""
    counted = {r["values"]: r["counts"] for r in rows["side"].value_counts().to_pylist()}
    starts = {side: sum(n for other, n in counted.items() if other < side) for side in SIDES}
    plain = rows.drop_columns("side").cast(SCHEMA)
    return {side: plain.slice(starts[side], counted.get(side, 0)) for side in SIDES}


def part(con: duckdb.DuckDBPyConnection, chosen: pa.Table, split: str) -> None:
    """Make the table `learned` on a connection: what a recipe chose, parted into train and validation.

    Raises:
        RecipeError: the rows are of one perturbation only, so nothing is left to train or to validate on.
    """
    con.register("chosen", chosen)
    con.execute("CREATE OR REPLACE TEMP TABLE learned AS " + query("learned"))
    if con.execute("SELECT count(*) FROM learned WHERE side = 'train'").fetchall() == [(0,)]:
        raise RecipeError(
            f"the rows selected for the split {split} are of perturbations that all fall to validation; "
            "select more than one perturbation"
        )


def _assert_apart(sides: Mapping[str, pa.Table], split: str) -> None:
    """A test row among the rows to learn from cannot come about; if it does, nothing is written."""
    learned = pa.concat_tables(sides[s].select(["example_id", "cell_line", "pert"]) for s in ("train", "validation"))
    assert not set(learned["example_id"].to_pylist()) & set(sides["test"]["example_id"].to_pylist())
    assert split != "rpe1_holdout" or "RPE1" not in learned["cell_line"].unique().to_pylist()
    assert split != "unseen_pert" or not set(learned["pert"].to_pylist()) & set(sides["test"]["pert"].to_pylist())


def row_hash(sides: Mapping[str, pa.Table]) -> str:
    """Return sha256 over the canonical JSON of all rows, side by side: the same whatever writes the files."""
    digest = hashlib.sha256()
    for side in SIDES:
        digest.update(side.encode() + b"\n")
        for batch in sides[side].to_batches(max_chunksize=5_000):
            for row in batch.to_pylist():
                digest.update(orjson.dumps(row, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))
    return digest.hexdigest()
