"""The candidates as a recipe sees them: a table of just the columns that it uses, made once for all it is asked for.

The view `candidates` joins six tables; over a million traces that takes seconds, and with their texts gigabytes.
"""

from __future__ import annotations

import json
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


def table(store: Store, at: Snapshot, columns: frozenset[str] = frozenset()) -> pa.Table:
    """Return the candidates of every split, with the columns ALWAYS and these."""
    return _table(store, frozenset(at.items()), tuple(dict.fromkeys([*ALWAYS, *sorted(columns)])))


@lru_cache(maxsize=3)  # for nothing, for the recipe, for what is asked of every row; both splits share them
def _table(store: Store, at: frozenset[tuple[str, int]], columns: tuple[str, ...]) -> pa.Table:
    with store.session(dict(at)) as con:
        return con.sql(f"SELECT {', '.join(columns)} FROM candidates").to_arrow_table()


def asked(store: Store, sql: str, params: Mapping[str, Any], split: str, at: Snapshot, seconds: float) -> pa.Table:
    """Answer a recipe for one split, on a locked connection.

    Raises:
        RefusedSQL: it does not run.
        Unsteady: it answers otherwise when it is asked again.
    """
    with _over(store, {}, table(store, {}, _all(store)), split) as con:
        ask(con, sql, params, seconds=seconds)  # on nothing: what cannot run is told before anything is read
    rows = table(store, at, used(store, sql, params))
    with _over(store, at, rows, split) as con:
        found, again = (ask(con, sql, params, seconds=seconds) for _ in range(2))
    if _sorted(found) != _sorted(again):
        raise Unsteady("it selects other rows each time")
    return found


def _over(store: Store, at: Snapshot, rows: pa.Table, split: str) -> Any:
    own, whole = rows.filter(pc.equal(rows["split"], split)), views.texts()["candidates"]
    # other views that stand on the candidates stand on the whole of them
    others = {name: text.replace("FROM candidates", f"FROM ({whole})") for name, text in views.texts().items()}
    return locked(store, at, {**others, "candidates": "SELECT * FROM narrowed"}, {"narrowed": own})


def used(store: Store, sql: str, params: Mapping[str, Any]) -> frozenset[str]:
    """Return the columns of the candidates that a query takes, as DuckDB plans it; the query is not run.

    Args:
        store: the store; nothing of it is read.
        sql: a query that was asked on a locked connection before, and so reads nothing else.
        params: values of its $names.
    """
    with store.session({}) as con:
        con.execute("CREATE TABLE narrowed AS FROM candidates LIMIT 0")
        con.execute("DROP VIEW candidates")
        con.execute("ALTER TABLE narrowed RENAME TO candidates")
        macros.create(con)
        con.execute(f"SET disabled_optimizers='{','.join(AS_WRITTEN)}'")
        statement = f"EXPLAIN (FORMAT json) {sql}"
        wanted = {k: v for k, v in params.items() if f"${k}" in sql.lower()}
        plan = json.loads(con.execute(statement, wanted or None).fetchall()[0][1])
    return frozenset(column for node in plan for column in _scanned(node))


def _scanned(node: dict[str, Any]) -> list[str]:
    info, found = node.get("extra_info") or {}, []
    if str(info.get("Table", "")).endswith(".candidates"):
        columns = info.get("Projections", [])
        found = [columns] if isinstance(columns, str) else list(columns)
    return found + [column for child in node.get("children", ()) for column in _scanned(child)]


def _all(store: Store) -> frozenset[str]:
    with store.session({}) as con:
        return frozenset(con.sql("FROM candidates").columns)


def _sorted(found: pa.Table) -> list[str]:
    return sorted(map(str, found.to_pylist()))
