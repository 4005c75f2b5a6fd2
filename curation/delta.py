"""One Delta table by its place: made, opened, appended to, compacted. All that is known of Delta is known here.

What delta-rs must be held down to (each was found by breaking it, and has a test in tests/test_store.py): history must
not expire, rows are never removed, a commit carries a number that works as a compare-and-swap, a compaction is checked
for the rows it leaves, and values are cast without a word, so a schema is checked before it sees the rows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from curation.arrow import empty
from curation.errors import StoreError

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable

    Handle = DeltaTable

FOREVER = {
    "delta.appendOnly": "true",
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
    "delta.checkpointInterval": "10",  # of 100, each commit costs twice the time, and memory that does not come back
    "delta.dataSkippingNumIndexedCols": "0",  # who reads a table goes by the Parquet files' own statistics
}
UNOPENED = "[]|^%\\"  # letters of a path that delta-rs cannot open


def is_table(folder: Path) -> bool:
    """Tell whether a table lies in a folder of this machine."""
    return (folder / "_delta_log").is_dir()


def opened(place: str, version: int | None = None) -> Handle | None:
    """Return a table, now or at a version; None if there is none.

    Raises:
        StoreError: it cannot be read.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    # asking the file system costs a tenth of asking Delta, and a table that is not there is the usual case
    try:
        if "://" not in place:
            os.stat(f"{place}/_delta_log")
    except FileNotFoundError:
        return None
    except OSError as e:  # a folder that may not be entered is not an empty table
        raise StoreError(f"{place}: {e.strerror}") from e
    try:
        return DeltaTable(place, version=version)
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as e:
        raise StoreError(f"{place}: {one_line(e)}") from e


def files(place: str, handle: Handle) -> list[str]:
    """Return the Parquet files of a table as it is in a handle."""
    # files lie flat in their table's folder; file_uris() would write a blank in the store's path as %20
    return sorted(f"{place}/{uri.rsplit('/', 1)[1]}" for uri in handle.file_uris())


def columns(handle: Handle) -> set[str]:
    """Return the columns that a table was written with; one that was declared after that is not among them."""
    return {field.name for field in handle.schema().fields}


def append(place: str, schema: pa.Schema, rows: pa.Table) -> None:
    """Append rows that have just this schema, in one commit.

    Raises:
        StoreError: they have another, or cannot be written. Nothing is.
    """
    _check_schema(place, schema, rows.schema)
    if rows.num_rows:
        _committed(place, schema, lambda handle: (rows, None))


def append_once(place: str, schema: pa.Schema, app: str, rows_since: Callable[[int], tuple[pa.Table, int]]) -> int:
    """Append rows and set a number in one commit; see `Store.append_once`."""
    from deltalake import CommitProperties, Transaction

    def made(handle: Handle) -> tuple[pa.Table, CommitProperties]:
        rows, after = rows_since(handle.transaction_version(app) or 0)
        _check_schema(place, schema, rows.schema)
        return rows, CommitProperties(app_transactions=[Transaction(app, after)])

    return _committed(place, schema, made)


def _committed(
    place: str, schema: pa.Schema, made: Callable[[Handle], tuple[pa.Table, CommitProperties | None]]
) -> int:
    """Write the rows that are made for a handle, and again for a new one where a commit came in between."""
    from deltalake.exceptions import CommitFailedError

    while True:
        handle = opened(place) or _create(place, schema)
        seen = handle.version()
        rows, commit = made(handle)
        if not rows.num_rows:
            return 0
        try:
            write(handle, rows, commit)
            return rows.num_rows
        except CommitFailedError as e:
            now = opened(place)
            if now is None or now.version() == seen:
                raise StoreError(f"{place}: {one_line(e)}") from e


def _check_schema(place: str, wanted: pa.Schema, found: pa.Schema) -> None:
    if not found.equals(wanted, check_metadata=False):
        pairs = set(zip(wanted.names, wanted.types, strict=True)) ^ set(zip(found.names, found.types, strict=True))
        odd = sorted({name for name, _ in pairs}) or ["the order of columns"]
        raise StoreError(f"rows for {_name(place)} differ from its declared schema in: {', '.join(odd)}")


def _create(place: str, schema: pa.Schema) -> Handle:
    """Make a table, or open the one that another process made just now."""
    from deltalake import DeltaTable, write_deltalake
    from deltalake.exceptions import CommitFailedError

    with _told(place):
        with suppress(CommitFailedError):  # DeltaTable.create would write the folder's absolute path into the log
            write_deltalake(place, empty(schema), mode="append", configuration=FOREVER)
        return DeltaTable(place)


def write(handle: Handle, rows: pa.Table, commit: CommitProperties | None = None) -> None:
    """Append rows in one commit.

    Raises:
        StoreError: a full disk, a folder that may not be written, an object store that is gone.
        CommitFailedError: another commit came in between.
    """
    from deltalake import WriterProperties, write_deltalake

    # a table keeps the descriptions it was made with: Delta takes other words for another schema
    plain = pa.table(rows.columns, schema=pa.schema([field.remove_metadata() for field in rows.schema]))
    with _told(handle.table_uri):
        write_deltalake(
            handle,
            plain,
            mode="append",
            schema_mode="merge",
            writer_properties=WriterProperties(compression="ZSTD"),
            commit_properties=commit,
        )


@contextmanager
def _told(place: str) -> Iterator[None]:
    """Say in one line what a write met: a full disk, a folder that may not be written, an object store that is gone."""
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except CommitFailedError:
        raise
    except (DeltaError, OSError) as e:
        raise StoreError(f"{place}: {one_line(e)}") from e


def one_line(error: Exception) -> str:
    """Return delta-rs's tree of causes, which is coloured and drawn over many lines, as one line."""
    return " ".join(re.sub(r"\x1b\[\d*m|↳", " ", str(error)).split())


def compact(place: str, above: int) -> None:
    """Join the small files of a table that has more than so many; one compactor at a time, or rows are doubled.

    Raises:
        StoreError: the rows are not as many as before. The version before is untouched and readable.
    """
    from deltalake import DeltaTable

    handle = opened(place)
    if handle is None or len(handle.file_uris()) <= above:
        return
    start = handle.version()
    with _told(place):
        handle.optimize.compact()
        since = [DeltaTable(place, version=v) for v in range(start, DeltaTable(place).version() + 1)]
    # of the commits since, the one that made the files fewer must have left the rows as many
    for before, after in pairwise(since):
        if len(after.file_uris()) < len(before.file_uris()) and _count(after) != _count(before):
            raise StoreError(f"compacting {_name(place)} changed its rows; version {before.version()} is whole")


def _count(handle: Handle) -> int:
    """Return how many rows a table has, by its log."""
    actions = pa.table(handle.get_add_actions(flatten=True))
    return sum(actions["num_records"].to_pylist())


def sync(place: str, since: float) -> None:
    """Have the files of a table that were written since a time (of the epoch) on the disk, which Delta never does."""
    folder = Path(place)
    for inside in (folder, folder / "_delta_log"):
        for file in (inside, *inside.iterdir()):
            if file == inside or (file.is_file() and file.stat().st_mtime >= since - 1):
                handle = os.open(file, os.O_RDONLY)
                os.fsync(handle)
                os.close(handle)


def _name(place: str) -> str:
    return place.rsplit("/", 1)[1]
