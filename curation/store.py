"""The store: append-only tables in one folder, Arrow in and out. Only `delta` beneath it knows that Delta exists."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from curation import delta, macros, views
from curation.arrow import nothing, to_rows
from curation.errors import StoreError
from curation.locks import lock
from curation.schema import CHILD_FIRST, TABLES

if TYPE_CHECKING:
    import duckdb

    from curation.delta import Handle

COMPACT_ABOVE = 200  # files a table
HELD = 64  # tables as they were at a version
INTERRUPTED = "Query interrupted"  # what DuckDB makes of a Ctrl-C: a RuntimeError

Snapshot = Mapping[str, int]  # table -> Delta version


class Store:
    """A store at `place`: a folder, or an object-store URL such as s3://bucket/path.

    Args:
        place: where the tables lie.
        create: make the store if there is none.

    Raises:
        StoreError: there is no store, it is something else, or it is newer than this code.
    """

    def __init__(self, place: str | Path, *, create: bool = False) -> None:
        from curation.migrations import migrate

        self.place = str(place).rstrip("/")
        self.remote = "://" in self.place
        self._past: dict[tuple[str, int], Handle | None] = {}  # what a table was at a version does not change
        if not self.remote:
            _check_folder(Path(self.place), create)
        migrate(self, create)

    def __repr__(self) -> str:
        return f"Store({self.place!r})"

    @property
    def journals(self) -> Path:
        """The folder of the journals: in the store, or for an object store in the user's state folder."""
        if not self.remote:
            return Path(self.place) / "journal"
        state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        return state / "synthpert" / hashlib.sha256(self.place.encode()).hexdigest()[:16] / "journal"

    # -- writing

    def append(self, table: str, rows: pa.Table) -> None:
        """Append rows that have just the table's declared schema.

        Raises:
            StoreError: a column is missing, is one too many, or has another type. Nothing is written.
        """
        delta.append(self._uri(table), TABLES[table].schema, rows)

    def append_once(self, table: str, app: str, rows_since: Callable[[int], tuple[pa.Table, int]]) -> int:
        """Append what `rows_since(number)` gives, and set `app`'s number to the one it gives, in one commit.

        Reading and writing the number through one handle makes it a compare-and-swap: of two processes
        that do this at once one wins, and the other is shown the new number and asked again.

        Returns:
            How many rows were appended.

        Raises:
            StoreError: the commit is refused though nobody else has made one, as it would be for ever.
        """
        return delta.append_once(self._uri(table), TABLES[table].schema, app, rows_since)

    def number(self, table: str, app: str) -> int:
        """Return the number that `append_once` has set for an app last; 0 if none."""
        handle = self._open(table)
        return (handle and handle.transaction_version(app)) or 0

    def append_new(self, table: str, rows: pa.Table) -> int:
        """Append the rows whose id the table does not hold yet, once however many do so; returns how many."""
        key = TABLES[table].key

        def unknown(number: int) -> tuple[pa.Table, int]:
            import duckdb

            if not self.files(table):
                return rows, number + 1
            with duckdb.connect() as con:
                con.register("fresh", rows)
                views.register(con, [table], self.relation)
                new = con.sql(f"SELECT * FROM fresh ANTI JOIN raw.{table} USING ({key})").to_arrow_table()
            return new.cast(TABLES[table].schema), number + 1

        return self.append_once(table, f"new-{table}", unknown) if rows.num_rows else 0

    def sync(self, table: str, since: float) -> None:
        """Have the files of a table that were written since a time (of the epoch) on the disk, which Delta never does.

        An object store keeps what it has taken.
        """
        if not self.remote:
            delta.sync(self._uri(table), since)

    def compact(self) -> None:
        """Join the small files of the tables that have over 200, one compactor at a time.

        On an object store there is no lock to hold: nothing is done there.

        Raises:
            StoreError: the rows are not as many as before. The version before is untouched and readable.
        """
        if self.remote:
            return
        with lock(self.journals / "compact.lock") as alone:
            for table in TABLES if alone else ():
                delta.compact(self._uri(table), COMPACT_ABOVE)

    # -- reading

    def snapshot(self) -> dict[str, int]:
        """Return the Delta version of each table that exists: what `at=` takes."""
        handles = {t: self._open(t) for t in CHILD_FIRST}
        found = {t: h.version() for t, h in handles.items() if h is not None}
        for table, version in found.items():
            self._hold(table, version, handles[table])
        return found

    def connect(self, at: Snapshot | None = None) -> duckdb.DuckDBPyConnection:
        """Return a DuckDB connection with every table (raw.NAME), view (NAME) and macro of the store."""
        import duckdb

        con = duckdb.connect()
        views.create(con, views.texts(), partial(self.relation, at=at))
        macros.create(con)
        return con

    @contextmanager
    def session(
        self, at: Snapshot | None = None, wanted: Mapping[str, str] | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection with these views, or all, for the while of the block.

        Raises:
            StoreError: a file of the store is cut or gone.
        """
        import duckdb

        with duckdb.connect() as con, self._read():
            views.create(con, views.texts() if wanted is None else wanted, partial(self.relation, at=at))
            yield con

    @contextmanager
    def _read(self) -> Iterator[None]:
        import duckdb

        try:
            yield
        except (duckdb.IOException, duckdb.InvalidInputException) as e:
            raise StoreError(f"{self.place}: {delta.one_line(e)}") from e
        except RuntimeError as e:
            raise (KeyboardInterrupt if str(e) == INTERRUPTED else e) from e

    def sql(self, query: str, params: Mapping[str, Any] | None = None, at: Snapshot | None = None) -> pa.Table:
        """Answer one of the project's own queries, opening only the tables that it needs.

        A user's query goes through `curation.locked`.

        Args:
            query: one SELECT.
            params: values of its $names.
            at: a snapshot, for the store as it was then.
        """
        import duckdb

        def source(table: str) -> str:
            return views.as_sql(con, table, self.relation(table, at))

        with duckdb.connect() as con, self._read():
            return con.sql(views.inlined(query, source), params=dict(params or {})).to_arrow_table()

    def rows(
        self, query: str, params: Mapping[str, Any] | None = None, at: Snapshot | None = None
    ) -> list[dict[str, Any]]:
        """Answer one of the project's own queries as a list of dicts."""
        return to_rows(self.sql(query, params, at))

    def files(self, table: str, at: Snapshot | None = None) -> list[str]:
        """Return the Parquet files that make up a table, now or at a snapshot; none if it does not exist."""
        return self._files(table, self._as_of(table, at))

    def relation(self, table: str, at: Snapshot | None = None, *, by_arrow: bool = False) -> Any:
        """Return what a DuckDB view of a table can be made over.

        Either SQL over its Parquet files (twenty times faster to find one row), or, for an object store or if
        `by_arrow` says so, an Arrow dataset, which needs no access to files.
        """
        return self._over(table, [self._as_of(table, at)], by_arrow)

    def between(self, table: str, a: Snapshot, b: Snapshot) -> Any:
        """Return, as `relation` does, the files that one of two snapshots has and the other has not.

        Every row that only one of them holds is in these; after a compaction between them, so are others.
        """
        return self._over(table, [self._as_of(table, at) for at in (a, b)])

    def _as_of(self, table: str, at: Snapshot | None) -> Handle | None:
        if at is not None and table not in at:
            return None
        if at is None:
            return self._open(table)
        version = at[table]
        if (table, version) not in self._past:
            self._hold(table, version, self._open(table, version))
        return self._past[table, version]

    def _hold(self, table: str, version: int, handle: Handle | None) -> None:
        self._past[table, version] = handle
        for oldest in list(self._past)[:-HELD]:
            self._past.pop(oldest, None)  # another thread may have

    def _files(self, table: str, handle: Handle | None) -> list[str]:
        return delta.files(self._uri(table), handle) if handle else []

    def _over(self, table: str, handles: list[Handle | None], by_arrow: bool = False) -> Any:
        """Return a relation over the files that one of the handles has, or the odd ones of two."""
        listed = [set(self._files(table, handle)) for handle in handles]
        files = sorted(set.symmetric_difference(*listed) if len(listed) > 1 else listed[0])
        if gone := [f for f in files if not self.remote and not os.path.exists(f)]:
            raise StoreError(f"{gone[0]}: this file of the store is gone")
        # a [ or * in the store's path would be read as a pattern; a table that was last written before a column was
        # declared has no file to take it from
        known = {column for handle in handles if handle for column in delta.columns(handle)}
        older = not known.issuperset(TABLES[table].schema.names)
        if not files:
            return nothing(TABLES[table].schema)
        if by_arrow or older or self.remote or re.search(r"[*?\[]", self.place):
            return self._dataset(table, files)
        listing = ", ".join("'" + f.replace("'", "''") + "'" for f in files)
        return f"read_parquet([{listing}], union_by_name=true)"

    def _dataset(self, table: str, files: list[str]) -> Any:
        import pyarrow.dataset as ds

        schema = TABLES[table].schema
        if not self.remote:
            return ds.dataset(files, schema=schema, format="parquet")
        from pyarrow.fs import FileSystem

        # not by delta-rs's own: a file system that is Python's can wait for Python's lock while it holds Arrow's, and
        # the scan's start the other way round, for ever; and while a file is opened no other thread runs
        try:
            filesystem, folder = FileSystem.from_uri(self._uri(table))
        except (pa.ArrowException, OSError) as e:
            raise StoreError(f"{self._uri(table)}: {delta.one_line(e)}") from e
        inside = [f"{folder}/{f.rsplit('/', 1)[1]}" for f in files]
        return ds.dataset(inside, schema=schema, format="parquet", filesystem=filesystem)

    # -- places

    def _uri(self, table: str) -> str:
        return f"{self.place}/{table}"

    def _open(self, table: str, version: int | None = None) -> Handle | None:
        return delta.opened(self._uri(table), version)


def _check_folder(folder: Path, create: bool) -> None:
    if odd := sorted(set(str(folder.resolve())) & set(delta.UNOPENED)):
        raise StoreError(f"{folder}: delta-rs cannot open a path that holds {' '.join(odd)}; name another with --store")
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder}: this is a file, and a store is a folder")
    if delta.is_table(folder / "migrations"):
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise StoreError(f"{folder}: this folder holds other things and no store; name another with --store")
    if not create:
        raise StoreError(f"{folder}: no store here; `synthpert ingest PATH` makes one, --store names another")
    folder.mkdir(parents=True, exist_ok=True)
