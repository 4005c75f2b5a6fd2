"""Records: the rows of a file as they stand there, one at a time, so that a file of any size takes the same memory."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from curation.errors import BadInput
from curation.importing.fields import Odd

LONGEST = 2**27  # characters in a cell of CSV
AT_ONCE = 500  # rows of Parquet
# the apostrophe by which an exported text is kept from being a formula
SHIELDED = re.compile(r"'+[=+\-@\t\r]")
OWN = frozenset({"messages", "example_id", "trace_id"})  # by these columns a CSV file is one that was exported here


class Record(NamedTuple):
    """One row: its number from 1, its line (None in Parquet), its values by column, and what is wrong with it."""

    row: int
    line: int | None
    values: Mapping[str, Any]
    odd: Odd | None = None


def read(file: Path, name: str) -> Iterator[Record]:
    """Yield the rows of a CSV, JSONL or Parquet file, by its ending.

    Raises:
        BadInput: it cannot be read on: no such file, no header, a quote that never ends, no Parquet.
    """
    try:
        yield from READERS[file.suffix.lower()](file, name)
    except OSError as e:
        raise BadInput.at(name, e.strerror or str(e), "a file that can be read") from e
    except pa.ArrowException as e:
        raise BadInput.at(name, f"no Parquet ({str(e).splitlines()[0]})", "a Parquet file") from e


def _csv(file: Path, name: str) -> Iterator[Record]:
    csv.field_size_limit(LONGEST)
    # bytes that are no UTF-8 come through as surrogates, so that their line can be told
    with open(file, encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        rows = csv.reader(lines, strict=True)
        try:
            header = _header(name, next(rows, []))
            own, line = header.keys() >= OWN, rows.line_num + 1
            for number, cells in enumerate(rows, 1):
                if cells:  # a blank line, as spreadsheets leave them, is no row
                    yield _cells(number, line, list(header), cells, own)
                line = rows.line_num + 1
        except csv.Error as e:
            raise BadInput.at(name, f"no CSV ({e})", "cells whose quotes are closed", line=rows.line_num) from e


def _header(name: str, cells: list[str]) -> dict[str, None]:
    twice = [c for c in cells if cells.count(c) > 1]
    if twice or not any(cells):
        found = f"the column {twice[0]} twice" if twice else "no header"
        raise BadInput.at(name, found, "a header that names each column once", line=1)
    return dict.fromkeys(cells)


def _cells(number: int, line: int, header: list[str], cells: list[str], own: bool) -> Record:
    if len(cells) != len(header):
        odd = Odd(None, "another number of cells", f"{len(cells)} cells", f"{len(header)}, as in the header")
        return Record(number, line, {}, odd)
    for column, cell in zip(header, cells, strict=True):
        if not cell.isascii() and not _is_utf8(cell):
            return Record(number, line, {}, Odd(column, "no UTF-8", "bytes that are not UTF-8", "UTF-8 text"))
    if own:
        cells = [cell[1:] if SHIELDED.match(cell) else cell for cell in cells]
    return Record(number, line, dict(zip(header, cells, strict=True)))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _jsonl(file: Path, name: str) -> Iterator[Record]:
    number = 0
    with open(file, "rb") as lines:
        for line, data in enumerate(lines, 1):
            if not data.strip():
                continue
            number += 1
            try:
                values = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
            except orjson.JSONDecodeError as e:
                yield Record(number, line, {}, Odd(None, "no JSON", f"no JSON ({e.msg})", "a JSON object a line"))
                continue
            if isinstance(values, dict):
                yield Record(number, line, values)
            else:
                yield Record(number, line, {}, Odd(None, "no JSON", repr(values)[:60], "a JSON object a line"))


def _parquet(file: Path, name: str) -> Iterator[Record]:
    number = 0
    with pq.ParquetFile(file) as rows:
        for batch in rows.iter_batches(batch_size=AT_ONCE):
            for values in batch.to_pylist():
                number += 1
                yield Record(number, None, values)


READERS: Mapping[str, Callable[[Path, str], Iterator[Record]]] = {
    ".parquet": _parquet,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".csv": _csv,
}
