"""A user's SQL in a process of its own: it gets only so much time and memory, and writes no file.

DuckDB looks at its clock and counts its memory between chunks of rows, so one call of a function on one long text
can outlast any interrupt and take all there is. Such a query dies with its process, and takes nothing along.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from curation import macros, views
from curation.errors import RefusedSQL, StoreError, Unsteady
from curation.locked import SECONDS, ask, decoded, locked
from curation.store import Snapshot, Store

BEYOND = 8 * 2**30  # bytes of address space beside what the process has when the query begins
GRACE = 5.0  # seconds beyond the query's own, for the start and for its answer to come over
WHAT_THERE_IS = re.compile(r"\b(show|describe|information_schema|duckdb_|pg_|pragma|sqlite_)", re.IGNORECASE)
KINDS: dict[str, type[Exception]] = {kind.__name__: kind for kind in (RefusedSQL, StoreError, Unsteady)}


def answer(
    store: Store,
    sql: str,
    params: Mapping[str, Any] | None = None,
    *,
    at: Snapshot | None = None,
    instead: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
) -> pa.Table:
    """Answer one SELECT of the user's.

    Args:
        store: the store.
        sql: the query.
        params: values of its $names; those that it does not name are left out.
        at: a snapshot, for the store as it was then.
        instead: SELECTs of views that are to be other than the store's own.
        seconds: after which it is stopped.

    Raises:
        RefusedSQL: it is no SELECT, does not run, or takes longer than `seconds` or too much memory.
        StoreError: a file of the store is cut or gone.
    """
    query = {"store": store.place, "sql": decoded(sql), "params": params, "at": at, "instead": instead}
    return _sent({**query, "seconds": seconds}, seconds)[0]


def answer_recipe(
    store: Store, sql: str, params: Mapping[str, Any], splits: Sequence[str], at: Snapshot, seconds: float
) -> dict[str, pa.Table]:
    """Answer a recipe of the user's for each of these splits, for each within `seconds`: `recipes.candidates.asked`."""
    query = {"store": store.place, "sql": sql, "params": params, "at": at, "splits": splits, "seconds": seconds}
    return dict(zip(splits, _sent(query, seconds * len(splits)), strict=True))


def _sent(query: dict[str, Any], seconds: float) -> list[pa.Table]:
    """Have another process answer a query; it is stopped after `seconds` in all."""
    # a group of its own: the terminal's Ctrl-C goes to this process alone, which then ends the other
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "curation.apart"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0,
    )  # fmt: skip
    try:
        found, said = child.communicate(orjson.dumps(query), timeout=seconds + GRACE)
    except subprocess.TimeoutExpired as e:
        raise RefusedSQL(f"the query took more than {seconds:.0f} s and was stopped") from e
    finally:
        child.kill()
        child.wait()
    if child.returncode:
        raise told(child.returncode, said)
    streams = pa.BufferReader(found)
    return [pa.ipc.open_stream(streams).read_all() for _ in query.get("splits", "1")]


def told(status: int, said: bytes) -> Exception:
    """Return the error that the other process ended with."""
    with suppress(orjson.JSONDecodeError, KeyError, TypeError):
        error = orjson.loads(said)
        return KINDS[error["kind"]](*error["args"])
    if status < 0 or b"MemoryError" in said or b"bad_alloc" in said:
        return RefusedSQL("the query needs more memory than it may have, and was stopped")
    return RuntimeError(said.decode(errors="replace"))


def main() -> None:
    """Answer the query on stdin: streams in Arrow's format to stdout, or an error as JSON to stderr, exit 1."""
    _without_pandas()
    query = orjson.loads(sys.stdin.buffer.read())
    try:
        for found in _answered(Store(query["store"]), query):
            with pa.ipc.new_stream(sys.stdout.buffer, found.schema) as out:
                out.write_table(found)
    except tuple(KINDS.values()) as e:
        place = (e.said, e.line, e.words) if isinstance(e, RefusedSQL) else (str(e),)
        sys.stderr.buffer.write(orjson.dumps({"kind": type(e).__name__, "args": place}))
        sys.exit(1)


def _answered(store: Store, query: dict[str, Any]) -> list[pa.Table]:
    sql, params, at, seconds = (query[name] for name in ("sql", "params", "at", "seconds"))
    if "splits" in query:
        from curation.recipes.candidates import asked

        _hold_down()
        return [asked(store, sql, {**params, "split": split}, split, at, seconds) for split in query["splits"]]
    instead = query["instead"] or {}

    def over(wanted: Mapping[str, str] | None) -> list[pa.Table]:
        with locked(store, at, instead, wanted=wanted) as con:
            _hold_down()
            return [ask(con, sql, params, seconds=seconds)]

    named = _named(sql, instead)
    try:
        return over(named)
    except RefusedSQL as e:
        if named is None or "Catalog Error" not in e.said:
            raise
    return over(None)


def _named(sql: str, instead: Mapping[str, str]) -> dict[str, str] | None:
    """Return the views that a query can see a difference by: to make all takes longer than most queries.

    None stands for all: for one that asks what there is. So does one that names what is not there, or makes a name as
    it runs: it is refused, and then asked again with all, which also tells the nearest name.
    """
    if WHAT_THERE_IS.search(sql):
        return None
    return views.needed(" ".join([macros.spelled_out(sql), *instead.values()]))


def _without_pandas() -> None:
    """Have this process do without pandas, which pyarrow loads to see whether a value is one of its.

    It takes a third of the time of the start.
    """

    class Absent(MetaPathFinder):
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "pandas":
                raise ImportError(name)

    sys.meta_path.insert(0, Absent())


def _hold_down() -> None:
    """Take from this process what a query does not need: more memory, files to write, a dump when it dies."""
    limits = {resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}
    with suppress(OSError):  # where there is no /proc, DuckDB's own limit is the only one
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limits[resource.RLIMIT_AS] = pages * resource.getpagesize() + BEYOND
    for limit, most in limits.items():
        with suppress(ValueError, OSError):  # a lower one is in force
            resource.setrlimit(limit, (most, most))


if __name__ == "__main__":
    main()
