"""Macros: short names for what a recipe often says, known wherever a user writes SQL; each is a file in sql/macros.

A macro names columns of whatever it is used on (`trace_id`, `grades`), which DuckDB 2.0 takes at its making only if an
operator stands on one of its parameters, so that nothing can be bound before it is used: hence `1 * n`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from curation import views

if TYPE_CHECKING:
    import duckdb

FAR = 1 << 17  # an error within a macro is placed in the macro's text: so far down that no user's text reaches there


@cache
def texts() -> Mapping[str, str]:
    """Return each macro's file by its name."""
    folder = resources.files("curation") / "sql" / "macros"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return {f.name[:-4]: f.read_text("utf-8") for f in files}


def spelled_out(sql: str) -> str:
    """Return a query in small letters, and after it the macros that it names: all that it may name a view in."""
    words = sql.lower()
    return " ".join([words, *(text for name, text in texts().items() if name in words)])


def create(con: duckdb.DuckDBPyConnection, made: Collection[str] | None = None) -> None:
    """Make the macros on a connection that is not locked yet; where only some views are made, those that can be."""
    for text in texts().values():
        if made is None or "AS TABLE" not in text or set(made) >= views.needed(text).keys():
            con.execute(" " * FAR + text)
