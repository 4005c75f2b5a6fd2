"""The candidates as a recipe sees them: a table of just the columns that it uses, made once for all it is asked for.

The view `candidates` joins six tables; over a million traces that takes seconds, and with their texts gigabytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation import macros, views
from curation.errors import Unsteady
from curation.locked import ask, locked
from curation.store import Snapshot, Store

# what a build or preview asks of every row, whatever the recipe does
ALWAYS = ("split", "trace_id", "example_id", "cell_line", "label", "answer", "grade", "simulated")
# so that the plan still scans each table it names, and tells all columns that it takes from there
AS_WRITTEN = (
    "filter_pushdown", "filter_pullup", "statistics_propagation", "empty_result_pullup", "expression_rewriter",
    "join_order", "common_subplan", "late_materialization", "cte_inlining",
)  # fmt: skip


HELD = 2  # tables: for a recipe, for what is asked of every row
_held: list[tuple[Store, Snapshot, pa.Table]] = []


def table(store: Store, at: Snapshot, columns: frozenset[str] = frozenset()) -> pa.Table:
    """Return the candidates of every split, with the columns ALWAYS and these, maybe in an order of their own.

    The last that were asked for are kept: all splits of a recipe share one, and so do all recipes of a report.
    """
    wanted = list(dict.fromkeys([*ALWAYS, *sorted(columns)]))
    if not at:
        return none(store).select(wanted)
    for whose, when, rows in _held:
        if whose is store and when == at and set(wanted) <= set(rows.column_names):
            return rows.select(wanted)
    found = store.sql(f"SELECT {', '.join(wanted)} FROM candidates", at=at)
    _held.append((store, dict(at), found))
    del _held[:-HELD]
    return found


@lru_cache(maxsize=1)
def none(store: Store) -> pa.Table:
    """Return all columns of the candidates, and no row."""
    return store.sql("FROM candidates", at={})


def answered(store: Store, sql: str, params: Mapping[str, Any], split: str, at: Snapshot, seconds: float) -> pa.Table:
    """Answer a shipped recipe for one split, on a locked connection.

    Raises:
        RefusedSQL: it does not run.
    """
    with _over(store, at, table(store, at, used(store, sql, params)), split, sql) as con:
        return ask(con, sql, params, seconds=seconds)


def asked(store: Store, sql: str, params: Mapping[str, Any], split: str, at: Snapshot, seconds: float) -> pa.Table:
    """Answer a recipe of the user's for one split, on a locked connection.

    Raises:
        RefusedSQL: it does not run.
        Unsteady: it answers otherwise when it is asked again.
    """
    with _over(store, {}, none(store), split, sql) as con:
        ask(con, sql, params, seconds=seconds)  # on nothing: what cannot run is told before anything is read
    rows = table(store, at, used(store, sql, params))
    with _over(store, at, rows, split, sql) as con:
        found, again = (ask(con, sql, params, seconds=seconds) for _ in range(2))
    if found != again and _sorted(found) != _sorted(again):
        raise Unsteady("it selects other rows each time")
    return found


def _over(store: Store, at: Snapshot, rows: pa.Table, split: str, sql: str) -> Any:
    own = rows.filter(pc.equal(rows["split"], split))
    return locked(store, at, {"candidates": "SELECT * FROM narrowed"}, {"narrowed": own}, _beside(sql))


def _beside(sql: str) -> dict[str, str]:
    """Return the views other than the candidates that a query names: making all would take longer than most queries."""
    found = views.needed(re.sub(r"\bcandidates\b", " ", macros.spelled_out(sql)))
    # those that stand on the candidates stand on the whole of them
    whole = views.texts()["candidates"]
    return {name: text.replace("FROM candidates", f"FROM ({whole})") for name, text in found.items()}


def used(store: Store, sql: str, params: Mapping[str, Any]) -> frozenset[str]:
    """Return the columns of the candidates that a query takes, as DuckDB plans it; the query is not run.

    Args:
        store: the store; nothing of it is read.
        sql: a shipped query, or one that was asked on a locked connection before, and so reads nothing else.
        params: values of its $names; the split does not matter.
    """
    return _used(store, sql, tuple(sorted({**params, "split": ""}.items())))


@lru_cache(maxsize=32)
def _used(store: Store, sql: str, params: tuple[tuple[str, Any], ...]) -> frozenset[str]:
    beside = {name: text for name, text in _beside(sql).items() if name != "candidates"}
    with store.session({}, beside) as con:
        con.register("none", none(store))
        con.execute("CREATE TABLE candidates AS FROM none")
        macros.create(con, beside)
        con.execute(f"SET disabled_optimizers='{','.join(AS_WRITTEN)}'")
        wanted = {k: v for k, v in params if f"${k}" in sql.lower()}
        plan = json.loads(con.execute(f"EXPLAIN (FORMAT json) {sql}", wanted or None).fetchall()[0][1])
    return frozenset(column for node in plan for column in _scanned(node))


def _scanned(node: dict[str, Any]) -> list[str]:
    info, found = node.get("extra_info") or {}, []
    if str(info.get("Table", "")).endswith(".candidates"):
        columns = info.get("Projections", [])
        found = [columns] if isinstance(columns, str) else list(columns)
    return found + [column for child in node.get("children", ()) for column in _scanned(child)]


def _sorted(found: pa.Table) -> list[str]:
    return sorted(map(str, found.to_pylist()))
