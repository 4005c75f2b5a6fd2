"""A user's SQL, on a connection that can read the store and nothing else, and change nothing.

Two locks, as each alone has holes: the connection has no file or network access, no temporary folder, fixed
settings and a read-only transaction; and the statement is one SELECT whose parsed tree holds no other kind of
statement, since DuckDB takes `WITH a AS (COPY ...) SELECT` for a SELECT.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from curation import macros, views
from curation.errors import RefusedSQL
from curation.store import Snapshot, Store

if TYPE_CHECKING:
    import duckdb

NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
MEMORY, SECONDS = "4GB", 60.0
# external access goes last but two: it adds the temporary folder to what may be read, unless there is none
LOCK = (
    "SET errors_as_json=true",  # for the place of an error
    "SET python_enable_replacements=false",
    "SET autoload_known_extensions=false",
    "SET autoinstall_known_extensions=false",
    "SET temp_directory=''",
    "SET enable_external_access=false",
    "SET lock_configuration=true",
    "BEGIN TRANSACTION READ ONLY",
)


@contextmanager
def locked(
    store: Store,
    at: Snapshot | None = None,
    instead: Mapping[str, str] | None = None,
    beside: Mapping[str, pa.Table] | None = None,
    wanted: Mapping[str, str] | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a locked connection with the store's tables and views, and the macros.

    Args:
        store: the store.
        at: a snapshot, for the store as it was then.
        instead: SELECTs of views that are to be other than the store's own.
        beside: tables to have as well.
        wanted: the views to have, if not all of the store's.
    """
    with _made(beside or {}) as con:
        made = {**(views.texts() if wanted is None else wanted), **(instead or {})}
        views.create(con, made, partial(store.relation, at=at, by_arrow=True))
        macros.create(con, made)
        yield _lock(con)


@contextmanager
def locked_tables(tables: Mapping[str, pa.Table]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a locked connection with these tables, the macros that need no others, and nothing else."""
    with _made(tables) as con:
        macros.create(con, made=())
        yield _lock(con)


@contextmanager
def _made(tables: Mapping[str, pa.Table]) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    with duckdb.connect(config={"memory_limit": MEMORY}) as con:
        for name, table in tables.items():
            con.register(name, table)
        yield con


def _lock(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    for statement in LOCK:
        con.execute(statement)
    return con


def ask(
    con: duckdb.DuckDBPyConnection,
    sql: str,
    params: Mapping[str, Any] | None = None,
    *,
    seconds: float = SECONDS,
) -> pa.Table:
    """Answer one SELECT of the user's on a locked connection.

    Raises:
        RefusedSQL: it is something else, does not run, or takes longer than `seconds` or too much memory.
    """
    import duckdb

    statement = check(sql)
    given = {k.lower(): v for k, v in (params or {}).items()}  # $N is $n
    wanted = {k: given[k.lower()] for k in statement.named_parameters if k.lower() in given}
    clock = threading.Timer(seconds, con.interrupt)
    clock.start()
    try:
        found = con.sql(statement, params=wanted).to_arrow_table()  # type: ignore[arg-type]
        return found.rename_columns(_apart(found.column_names))
    except duckdb.InterruptException as e:
        raise RefusedSQL(f"the query took more than {seconds:.0f} s and was stopped") from e
    except MemoryError as e:
        raise RefusedSQL("the answer does not fit into memory; add a LIMIT") from e
    except (duckdb.Error, ValueError) as e:
        raise _placed(con, sql, statement, wanted, e) from e
    finally:
        clock.cancel()


def _placed(
    con: duckdb.DuckDBPyConnection, sql: str, statement: duckdb.Statement, params: Mapping[str, Any], error: Exception
) -> RefusedSQL:
    """Return a refusal with its place, which DuckDB tells by `execute` alone and not by `sql`: it fails once more."""
    import duckdb

    try:
        for again in ("ROLLBACK", LOCK[-1], statement):
            con.execute(again, params if again is statement else None)
    except (duckdb.Error, ValueError) as e:
        place, text = re.search(r'"position":"(\d+)"', str(e)), decoded(sql).encode()  # in bytes
        if place and int(place[1]) < len(text):
            line = text.count(b"\n", 0, int(place[1])) + 1
            words = text[int(place[1]) :].split(b"\n")[0].decode("utf-8", "replace")
            return RefusedSQL(refusal(error).said, line, words.strip())
    return refusal(error)


def check(sql: str) -> duckdb.Statement:
    """Return the statement, if it is a single one that only reads.

    Raises:
        RefusedSQL: it is none, several, or does anything but SELECT.
    """
    import duckdb

    sql = decoded(sql)
    try:
        found = duckdb.extract_statements(sql)
    except duckdb.Error as e:
        raise refusal(e) from e
    if len(found) != 1:
        raise RefusedSQL(f"one SELECT is answered here, and this is {len(found)} statements")
    if found[0].type != duckdb.StatementType.SELECT:
        raise RefusedSQL(f"only SELECT is answered here, and this is {_kind(sql)}")
    _check_tree(sql)
    return found[0]


@lru_cache(maxsize=32)  # a recipe is checked for each split, and twice in each
def _check_tree(sql: str) -> None:
    import duckdb

    try:
        with duckdb.connect() as con:
            tree = json.loads(con.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0])
        odd = [node for node in _nodes(tree) if node not in NODES]
    except RecursionError as e:
        raise RefusedSQL("the query is nested too deep to be checked") from e
    if tree.get("error"):
        raise RefusedSQL(f"only SELECT is answered here: {tree.get('error_message')}")
    if odd:
        kind = odd[0].removesuffix("_NODE").removesuffix("_QUERY")
        raise RefusedSQL(f"only SELECT is answered here, and this holds {kind}")


def rows(found: pa.Table) -> list[dict[str, Any]]:
    """Return an answer as a list of dicts.

    Raises:
        RefusedSQL: a value that Python cannot hold, such as the year 10000.
    """
    try:
        return found.to_pylist()
    except (OverflowError, ValueError, NotImplementedError, MemoryError) as e:
        raise RefusedSQL(f"the answer cannot be shown: {type(e).__name__}: {e}") from e


def _apart(names: list[str]) -> list[str]:
    """Return column names of which none stands twice: a, a becomes a, a_1."""
    found: list[str] = []
    for name in names:
        n, given = 0, name
        while name in found:
            n += 1
            name = f"{given}_{n}"
        found.append(name)
    return found


def condition(sql: str) -> str:
    """Return a user's condition in brackets, to stand after WHERE in a statement that is then asked.

    Raises:
        RefusedSQL: it closes a bracket that it has not opened, so what follows would stand outside.
    """
    import duckdb

    text, depth = decoded(sql), 0
    for place, kind in duckdb.tokenize(text):  # places are in bytes
        if kind == duckdb.token_type.operator:
            depth += {b"(": 1, b")": -1}.get(text.encode()[place : place + 1], 0)
        if depth < 0:
            raise RefusedSQL("wanted a condition, and this closes a bracket that it has not opened")
    return f"(\n{sql}\n)"  # on lines of its own: it may end in a comment


def decoded(sql: str) -> str:
    """Return a query in whole letters: under an ASCII locale one comes in half surrogates, which nothing else takes."""
    return sql.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _kind(sql: str) -> str:
    word = re.search(r"[A-Za-z]+", re.sub(r"--[^\n]*|/\*.*?\*/", " ", sql, flags=re.S))
    kind = word[0].upper() if word else "something else"
    return f"{kind} (write PIVOT with IN (...))" if kind == "PIVOT" else kind


def _nodes(tree: Any) -> Iterator[str]:
    """Yield the type of every statement node in a serialized tree."""
    if isinstance(tree, list):
        for branch in tree:
            yield from _nodes(branch)
    elif isinstance(tree, dict):
        kind = tree.get("type")
        if isinstance(kind, str) and kind.endswith("_NODE"):
            yield kind
        for branch in tree.values():
            yield from _nodes(branch)


def _plain(said: str) -> str:
    """Return an error's own words, where it was told as JSON."""
    start = said.find('{"exception_type"')
    with suppress(ValueError, KeyError, TypeError):
        found = json.loads(said[start:]) if start >= 0 else {}
        return f"{found['exception_type']} Error: {found['exception_message']}"
    return said


def refusal(error: Exception) -> RefusedSQL:
    """Return DuckDB's message as one line, with the place in the SQL if it names one."""
    text = _plain(str(error))
    place = re.search(r"LINE (\d+): (.*)\n( *)\^", text)
    said = " ".join(text.split("\n\nLINE")[0].split())
    if not place:
        return RefusedSQL(said)
    at = len(place[3]) - len(f"LINE {place[1]}: ")
    return RefusedSQL(said, int(place[1]), place[2][max(at, 0) :].strip())
