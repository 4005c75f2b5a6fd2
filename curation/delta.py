"""One Delta table by its place, as delta-rs must be held down to make, open and append to it; see `store`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pyarrow as pa

from curation.arrow import empty
from curation.errors import StoreError

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable

FOREVER = {
    "delta.appendOnly": "true",
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
    "delta.checkpointInterval": "10",  # of 100, each commit costs twice the time, and memory that does not come back
    "delta.dataSkippingNumIndexedCols": "0",  # who reads a table goes by the Parquet files' own statistics
}


def opened(place: str, version: int | None = None) -> DeltaTable | None:
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


def create(place: str, schema: pa.Schema) -> DeltaTable:
    """Make a table, or open the one that another process made just now."""
    from deltalake import DeltaTable, write_deltalake
    from deltalake.exceptions import CommitFailedError

    # DeltaTable.create would write the folder's absolute path into the log
    with suppress(CommitFailedError), _told(place):
        write_deltalake(place, empty(schema), mode="append", configuration=FOREVER)
    return DeltaTable(place)


def write(handle: DeltaTable, rows: pa.Table, commit: CommitProperties | None = None) -> None:
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


def count(handle: DeltaTable) -> int:
    """Return how many rows a table has, by its log."""
    actions = pa.table(handle.get_add_actions(flatten=True))
    return sum(actions["num_records"].to_pylist())
