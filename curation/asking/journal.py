"""A run's answers on their way to the table: one JSON line each in STORE/journal/RUN.jsonl, then rows in batches.

A line is written and flushed before its answer is counted, and lands in the table once: the commit that appends
it carries the byte offset reached in the file, and of two that absorb one journal a single one wins.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import IO, Any

import orjson
import pyarrow as pa

from curation.arrow import BAD_ROW, empty, from_lines
from curation.locks import abandoned, hold
from curation.schema import TABLES, content_id, now
from curation.store import Store

TABLE = "responses"
STAGED = ".staged"
SCHEMA = TABLES[TABLE].schema
Take = Callable[[pa.Table], object]
NEEDED = ("request_id", "created", "attempt")  # a row without them is none
BATCH = 2 * 2**20  # bytes absorbed in one commit: some 600 rows


class Journal:
    """The journal of one running command, held by a lock while it lives.

    A staged one is none yet: its lines count all together from `publish` on, or never.
    """

    def __init__(self, store: Store, run_id: str, *, staged: bool = False) -> None:
        self.store, self.run_id = store, run_id
        self.file = store.journals / f"{run_id}{STAGED if staged else '.jsonl'}"
        self.began = time.time()
        self._out = hold(self.file)
        self._lines: list[bytes] = []
        self._alone = Lock()  # lines are added by one thread, and absorbed by another
        self.pending = 0  # lines since the last absorb

    def write(self, columns: dict[str, Any]) -> str:
        """Add one row of `responses`, at once; returns its id."""
        self.add(columns)
        self.flush()
        return self._id(columns)

    def add(self, columns: dict[str, Any]) -> bool:
        """Add one row of `responses`, its id, run and time put in, at the next `flush`; true if it waits alone."""
        row = {"response_id": self._id(columns), "run_id": self.run_id, "created": now(), **columns}
        with self._alone:
            self._lines.append(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            return len(self._lines) == 1

    def _id(self, columns: dict[str, Any]) -> str:
        return content_id(columns["request_id"], self.run_id, columns["attempt"])

    def flush(self) -> None:
        """Hand the lines to the system, so that they outlive the process."""
        with self._alone:
            lines, self._lines = self._lines, []
            self.pending += len(lines)
            data = memoryview(b"".join(lines))
            try:
                while data:  # a disk that is nearly full may take a part
                    data = data[self._out.write(data) :]
            except OSError:
                self._lines.insert(0, bytes(data))  # for who tries again
                raise

    def publish(self) -> None:
        """Have the lines of a staged journal count: who finds them from now on, be it after a kill, absorbs them."""
        self.sync()
        self.file = self.file.rename(self.file.with_suffix(".jsonl"))

    def discard(self) -> None:
        """Forget the lines of a staged journal."""
        self.file.unlink(missing_ok=True)
        self._out.close()

    def sync(self) -> None:
        """Have the lines on the disk, not just in the system's memory."""
        self.flush()
        os.fsync(self._out.fileno())

    def absorb(self, take: Take = len) -> int:
        """Append what was written since the last time to the table; returns how many rows.

        `take` is given the rows of each commit after it.
        """
        self.sync()  # Delta never does: what the table names must be on the disk somewhere
        if not (lines := self.pending):
            return 0
        absorbed = _absorb(self.store, self.file, take)
        with self._alone:  # not before: what did not reach the table stays in the file
            self.pending -= lines
        return absorbed

    def close(self) -> None:
        """Absorb the rest and remove the file; the table is on the disk by then."""
        try:
            self.absorb()
            _forget(self.store, self.file, self.began)
        finally:
            self._out.close()


class Neighbours:
    """The journals of other commands that run now: what they were answered need not be asked here as well.

    Args:
        journals: the store's folder of journals.
        ours: the runs of this command.
        reached: tells of a run how many bytes of its journal are in the table (see `in_table`). Of journals that are
            there at the first look these are not read: who gives it looks at the table afterwards.
    """

    def __init__(self, journals: Path, ours: set[str], reached: Callable[[str], int] = lambda run_id: 0) -> None:
        self.journals, self.ours, self.reached = journals, ours, reached
        self.met = False
        self._open: dict[Path, IO[bytes]] = {}  # what is written to one last is read after it is gone, too

    def answered(self) -> set[str]:
        """Return the requests that others were answered since the last call."""
        for file in self.journals.glob("*.jsonl"):
            if file.stem not in self.ours and file not in self._open:
                with suppress(FileNotFoundError):  # it came to its end just now: its rows are in the table
                    self._open[file] = open(file, "rb")  # noqa: SIM115
                    self._open[file].seek(self.reached(file.stem))
                    self.met = True
        self.reached = lambda run_id: 0  # the table is not looked at again
        found: set[str] = set()
        for file, lines in list(self._open.items()):
            gone = not os.fstat(lines.fileno()).st_nlink
            while whole := _next(lines):
                rows = _rows(whole)
                each = zip(rows["request_id"].to_pylist(), rows["failure"].to_pylist(), strict=True)
                found.update(request for request, failure in each if failure is None)
            if gone:
                self._open.pop(file).close()
        return found


def in_table(store: Store, run_id: str) -> int:
    """Return how many bytes of a run's journal are rows of the table by now."""
    return store.number(TABLE, _app(run_id))


def _app(run_id: str) -> str:
    return f"journal-{run_id}"


def _next(file: IO[bytes]) -> bytes:
    """Return the whole lines that follow, as many as go into one commit."""
    data = file.read(BATCH)
    if data and not data.endswith(b"\n"):
        data += file.readline()
    whole = data[: data.rfind(b"\n") + 1]
    file.seek(len(whole) - len(data), os.SEEK_CUR)
    return whole


def settle(store: Store) -> list[str]:
    """Absorb the journals that no living run holds, as a killed run leaves them; returns those runs' ids."""
    settled = []
    for file, _ in abandoned(store.journals, f"*{STAGED}"):
        file.unlink()
    for file, held in abandoned(store.journals, "*.jsonl"):
        _end_line(held)
        _absorb(store, file)
        _forget(store, file, 0.0)
        settled.append(file.stem)
    return settled


def _absorb(store: Store, file: Path, take: Take = len) -> int:
    total, reached, rows, size = 0, 0, empty(SCHEMA), file.stat().st_size

    def since(offset: int) -> tuple[pa.Table, int]:
        nonlocal reached, rows
        rows, reached = _rows_from(file, offset)
        return rows, reached

    while appended := store.append_once(TABLE, _app(file.stem), since):
        total += appended
        take(rows)
        rows = empty(SCHEMA)
        pa.default_memory_pool().release_unused()  # others allocate too, until the next time
        if reached >= size:  # the usual case; looking once more would open the table for nothing
            break
    return total


def _rows_from(file: Path, offset: int) -> tuple[pa.Table, int]:
    """Return the rows of the next lines, as many as go into one commit, and the offset after them."""
    with open(file, "rb") as f:
        f.seek(offset)
        while whole := _next(f):
            offset += len(whole)
            if (rows := _rows(whole)).num_rows:
                return rows, offset
    return empty(SCHEMA), offset


def _rows(lines: bytes) -> pa.Table:
    if (rows := _whole(lines)) is not None:
        return rows
    # a line that a kill has cut, or another hand has written: the others must not wait for it
    each = [row for line in lines.split(b"\n") if (row := _whole(line)) is not None]
    return pa.concat_tables([empty(SCHEMA), *each])


def _whole(lines: bytes) -> pa.Table | None:
    """Return lines as rows; None if one of them is no row of ours."""
    try:
        rows = from_lines(lines, SCHEMA)
    except BAD_ROW:
        return None
    return None if any(rows[name].null_count for name in NEEDED) else rows


def _end_line(journal: IO[bytes]) -> None:
    """End a line that a kill has cut; it is skipped if it does not parse."""
    if journal.seek(0, os.SEEK_END):
        journal.seek(-1, os.SEEK_END)
        if journal.read(1) != b"\n":
            journal.write(b"\n")
            journal.flush()


def _forget(store: Store, file: Path, began: float) -> None:
    if file.stat().st_size:
        store.sync(TABLE, began)
    file.unlink(missing_ok=True)
