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

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OURS = {("us", "UTC"), ("us", "Etc/UTC")}  # times as the store declares them, and as DuckDB names them
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
        return empty(schema)
    reading = json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    parsing = json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    return json.read_json(io.BytesIO(lines), read_options=reading, parse_options=parsing).select(schema.names)


def empty(schema: pa.Schema) -> pa.Table:
    """Return a table of this schema without a row."""
    return pa.Table.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


def nothing(schema: pa.Schema) -> str:
    """Return SQL of a relation that has these columns and no row.

    DuckDB scans an empty Arrow table as well, but loads pyarrow's datasets for it: 30 MB and a tenth of a second.
    """
    columns = ", ".join(f"CAST(NULL AS {_sql(field.type)}) AS {_quoted(field.name)}" for field in schema)
    return f"(SELECT {columns} WHERE false)"


def _sql(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"{_sql(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{_quoted(f.name)} {_sql(f.type)}' for f in kind)})"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ"
    return {"string": "VARCHAR", "int64": "BIGINT", "double": "DOUBLE", "bool": "BOOLEAN"}[str(kind)]


def _quoted(name: str) -> str:
    return f'"{name}"'


def to_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return a table as `Table.to_pylist` does; times are in UTC."""
    times = {f.name for f in table.schema if pa.types.is_timestamp(f.type) and (f.type.unit, f.type.tz) in OURS}
    columns = [_times(table[name]) if name in times else table[name].to_pylist() for name in table.schema.names]
    return [dict(zip(table.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _times(column: pa.ChunkedArray) -> list[datetime | None]:
    numbers = [n for chunk in column.chunks for n in chunk.view(pa.int64()).to_pylist()]
    return [None if n is None else EPOCH + timedelta(microseconds=n) for n in numbers]
