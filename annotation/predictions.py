"""Predictions from a file: what a trained model wrote, for experts to judge as they judge traces."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from curation.errors import BadInput
from curation.schema import TABLES, content_id, now
from curation.store import Store

WANTED = ("example_id", "reasoning", "answer")
OPTIONAL = ("model", "task", "dataset")


def read(store: Store, file: Path) -> pa.Table:
    """Read a Parquet file of predictions; nothing is written.

    Args:
        store: whose examples they are about.
        file: with the columns example_id, reasoning and answer, and maybe model, task and dataset: all texts.

    Returns:
        Rows of the table `predictions`, without run_id, each once.

    Raises:
        BadInput: the file is none, lacks a column, or names an example that the store does not have.
    """
    rows = _rows(file)
    known = {row["example_id"] for row in store.rows("SELECT example_id FROM raw.examples")}
    for n, row in enumerate(rows, 1):
        if row["example_id"] not in known:
            raise BadInput.at(file, repr(row["example_id"]), "the id of an example of the store", line=n)
    made = {content_id(*(row[c] for c in (*WANTED, *OPTIONAL))): row for row in rows}
    return pa.Table.from_pylist(
        [{"prediction_id": key, "created": now(), **row} for key, row in made.items()], TABLES["predictions"].schema
    )


def _rows(file: Path) -> list[dict[str, str | None]]:
    import pyarrow.parquet as pq

    if not file.is_file():
        raise BadInput.at(file, "no such file", f"a Parquet file with the columns {', '.join(WANTED)}")
    try:
        table = pq.read_table(file)
    except pa.ArrowInvalid as e:
        raise BadInput.at(file, "no Parquet", f"a Parquet file with the columns {', '.join(WANTED)}") from e
    for name in WANTED:
        if name not in table.column_names:
            raise BadInput.at(file, f"the columns {', '.join(table.column_names)}", f"{name} among them")
    chosen = table.select([name for name in (*WANTED, *OPTIONAL) if name in table.column_names])
    for field in chosen.schema:
        if not (pa.types.is_string(field.type) or pa.types.is_large_string(field.type) or pa.types.is_null(field.type)):
            raise BadInput.at(file, str(field.type), "text", column=field.name)
    none = dict.fromkeys((*WANTED, *OPTIONAL))
    return [none | row for row in chosen.to_pylist()]
