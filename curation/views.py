"""What one sees of the store in SQL: raw.NAME is a table as written, NAME a view; each view is one SELECT.

A view is a file `sql/NAME.sql`. A table without such a file is seen as its latest row an id. A later room adds
its own view in a file of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from curation.schema import CHILD_FIRST, TABLES

if TYPE_CHECKING:
    import duckdb

# the id and the time are looked up first and the wide columns joined to them: a third of the time and memory of
# ordering rows that carry their text
LATEST = """SELECT * FROM raw.{name} SEMI JOIN (
    SELECT {key}, max(created) AS created FROM raw.{name} GROUP BY {key}) USING ({key}, created)"""

LEADING_WITH = re.compile(r"(?:\s|--[^\n]*\n)*+WITH\b", re.IGNORECASE)


@cache
def texts() -> Mapping[str, str]:
    """Return the SELECT of each view, by name, in an order in which each can be made after those it names."""
    folder = resources.files("curation") / "sql"
    found = {t.name: LATEST.format(name=t.name, key=t.key) for t in TABLES.values()}
    found |= {f.name[:-4]: f.read_text("utf-8") for f in folder.iterdir() if f.name.endswith(".sql")}
    ordered: dict[str, str] = {}
    while left := found.keys() - ordered.keys():
        ready = sorted(v for v in left if not _names(found[v], left - {v}))
        assert ready, f"views that need each other: {sorted(left)}"
        ordered |= {v: found[v] for v in ready}
    return ordered


def needed(query: str, *, for_raw: bool = True) -> dict[str, str]:
    """Return the views that a query names, and those that they name, in order.

    A word that is a view's name counts wherever it stands: a view too many costs milliseconds. A query may also name
    a raw table: its view brings it along, if `for_raw` says so.
    """
    found: set[str] = _names(query, texts().keys()) | (raw(query) & texts().keys() if for_raw else set())
    while more := {n for v in found for n in _names(texts()[v], texts().keys())} - found:
        found |= more
    return {v: text for v, text in texts().items() if v in found}


def create(con: duckdb.DuckDBPyConnection, views: Mapping[str, str], relation: Callable[[str], Any]) -> None:
    """Make these views, and the tables beneath them, on a connection.

    Args:
        con: the connection.
        views: their SELECTs, in an order in which they can be made.
        relation: gives what a table's view is made over: SQL, or Arrow to be registered.
    """
    register(con, {t for text in views.values() for t in raw(text)}, relation)
    for name, text in views.items():
        con.execute(f"CREATE VIEW {name} AS {text}")


def inlined(query: str, relation: Callable[[str], str]) -> str:
    """Return a query that stands by itself: the tables and views that it names go before it, in a WITH.

    Each view that is made is bound as it is made, and so are all that it names, again: for a query of traces that takes
    as long as the answer. Here everything is bound once; the plan is that of the views.

    Args:
        query: one SELECT; what it names itself in a WITH has no view's name.
        relation: gives what a table is read from, in SQL.
    """
    named = needed(query, for_raw=False)
    tables = raw(" ".join([query, *named.values()]))
    found = {f"raw.{name}": f"SELECT * FROM {relation(name)}" for name in sorted(tables, key=CHILD_FIRST.index)}
    found |= {name: _plain(text) for name, text in named.items()}
    if not found:
        return query
    before = ", ".join(f'"{name}" AS NOT MATERIALIZED (\n{text}\n)' for name, text in found.items())
    own = LEADING_WITH.match(query)  # what it names so itself goes with the rest
    return f"WITH {before}{',' if own else ''}\n{_plain(query[own.end() :] if own else query)}"


def raw(query: str) -> set[str]:
    """Return the tables that a query names as raw.NAME."""
    return set(re.findall(r"\braw\.(\w+)", query))


def register(con: duckdb.DuckDBPyConnection, tables: Iterable[str], relation: Callable[[str], Any]) -> None:
    """Make raw.NAME for each of these tables."""
    con.execute("CREATE SCHEMA IF NOT EXISTS raw")
    for name in sorted(tables, key=CHILD_FIRST.index):
        source = as_sql(con, name, relation(name))
        con.execute(f"CREATE OR REPLACE VIEW raw.{name} AS SELECT * FROM {source}")


def as_sql(con: duckdb.DuckDBPyConnection, name: str, relation: Any) -> str:
    """Return what stands in SQL for a relation: itself, or the name under which Arrow is registered for it."""
    if isinstance(relation, str):
        return relation
    con.register(f"arrow_{name}", relation)
    return f"arrow_{name}"


def _plain(text: str) -> str:
    """Return a query whose tables raw.NAME are called "raw.NAME": what stands in a WITH has no schema."""
    return re.sub(r"\braw\.(\w+)", r'"raw.\1"', text)


def _names(text: str, among: Iterable[str]) -> set[str]:
    """Return which of these names a query holds as words, outside comments and other than as raw.NAME."""
    plain = re.sub(r"--[^\n]*|\braw\.\w+", " ", text)
    return set(re.findall(r"\w+", plain)) & set(among)
