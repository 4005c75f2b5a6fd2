"""Between rows as Python has them and Arrow tables.

pyarrow's own ways load pandas to see whether a value is one of its (`Table.from_pylist` always, `to_pylist` for times):
a third of a second and 40 MB that no command here has a use for.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa

EPOCH, UTCS = datetime(1970, 1, 1, tzinfo=UTC), ("UTC", "Etc/UTC")
BAD_ROW = (pa.ArrowException, TypeError)  # what rows that do not fit a schema end in


def from_rows(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return rows as a table of this schema; what a row lacks is null, and what it has besides is left out.

    Raises:
        pa.ArrowException, TypeError: a value of another type (`BAD_ROW`).
    """
    return from_lines(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows), schema)


def from_lines(lines: bytes, schema: pa.Schema) -> pa.Table:
    """Return JSON objects, one a line, as a table of this schema; see `from_rows`."""
    from pyarrow import json

    if not lines.strip():
        return schema.empty_table()
    reading = json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    parsing = json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    return json.read_json(io.BytesIO(lines), read_options=reading, parse_options=parsing).select(schema.names)


def to_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return a table as `Table.to_pylist` does; times are in UTC."""
    times = [
        f.name for f in table.schema if pa.types.is_timestamp(f.type) and f.type.tz in UTCS and f.type.unit == "us"
    ]
    numbers = pa.schema([pa.field(f.name, pa.int64() if f.name in times else f.type) for f in table.schema])
    rows = table.cast(numbers).to_pylist()
    for row in rows if times else ():
        for name in times:
            if (microseconds := row[name]) is not None:
                row[name] = EPOCH + timedelta(microseconds=microseconds)
    return rows
