"""Predictions: the file in which any model's answers are handed over to be scored, and what is refused of one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import BadInput
from curation.schema import FLOAT, LABELS, STRING
from eval import refusals
from eval.words import DIRECTION, GIVEN, HARD, KEY, PROBABILITIES, THREE_CLASS

COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "example_id": (STRING, "id of the measured effect"),
    "cell_line": (STRING, "cell line"),
    "pert": (STRING, "gene knocked down"),
    "gene": (STRING, "gene read out"),
    "label": (STRING, "measured outcome, as the dataset has it"),
    "task": (STRING, "three-class, or direction: up or down of a gene known to change"),
    "model": (STRING, "who answered; `baseline: NAME` is a rule"),
    "dataset": (STRING, "NAME@VERSION of the dataset"),
    "split": (STRING, "split whose side was predicted"),
    "side": (STRING, "that side"),
    "answer": (STRING, "a label or I do not know; null if none was readable, or only scores were given"),
    "p_up": (FLOAT, "probability of upregulated, or share of the answers; null if there is none"),
    "p_down": (FLOAT, "of downregulated"),
    "p_none": (FLOAT, "of not differentially expressed"),
    "score": (FLOAT, "of a model without probabilities: larger is likelier to change; in direction, likelier to rise"),
    "score_kind": (STRING, "hard: the answer; share: of several answers; given: by the model itself"),
    "reasoning": (STRING, "what the model wrote before its answer"),
    "reason": (STRING, "why no answer could be read; null if one was"),
}
SCHEMA = pa.schema([pa.field(n, t, metadata={"description": about}) for n, (t, about) in COLUMNS.items()])


def write(table: pa.Table, path: Path | str) -> None:
    """Write predictions as Parquet; columns that are not there are null.

    Raises:
        BadInput: something is wrong with the table, as `read` says, or the file cannot be written.
    """
    import pyarrow.parquet as pq

    found = refusals.checked(_typed(table, path), path)
    try:
        pq.write_table(found, path, compression="zstd")
    except OSError as e:
        raise BadInput(f"{path}: {e.strerror or e}") from e


def read(path: Path | str) -> pa.Table:
    """Read a Parquet file of predictions: `example_id`, and an `answer`, probabilities or a `score`.

    Returns:
        A table of SCHEMA. Where the file does not say: `task` is three-class, `model` the file's name, `score_kind`
        given where there are numbers and else hard; `answer` the likeliest label, if probabilities alone were given.

    Raises:
        BadInput: no Parquet, no rows, no such columns, other types; an answer in other words; a number that is not
            finite; a probability outside 0 to 1; the same example twice in one set of predictions.
    """
    import pyarrow.parquet as pq

    if not Path(path).is_file():
        raise BadInput.at(path, "no such file", "a Parquet file of predictions")
    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as e:
        raise BadInput.at(path, "no Parquet", "a Parquet file of predictions; of a CSV file say --input csv") from e
    return whole(table, path)


def whole(table: pa.Table, path: Path | str, task: str = THREE_CLASS, first: int = 1) -> pa.Table:
    """Return a table as `read` does.

    Args:
        table: what a file holds.
        path: the file, for errors.
        task: where the table does not say it.
        first: the line of the file that the first row stands in.
    """
    return refusals.checked(_filled(_typed(table, path), path, task), path, first)


def sets(table: pa.Table) -> Iterator[tuple[dict[str, str | None], pa.Table]]:
    """Yield each set of predictions of a table, those that share KEY, with what they share, in the table's order."""
    codes, shared = refusals.grouped(table, KEY)
    for n, values in enumerate(shared):
        yield values, table.filter(pc.equal(codes, n))


def _typed(table: pa.Table, path: Path | str) -> pa.Table:
    """Return the columns of SCHEMA, in its types; texts are texts, and any number is a float."""
    if "example_id" not in table.column_names:
        raise BadInput.at(path, f"the columns {', '.join(table.column_names) or '(none)'}", "example_id among them")
    if not {"answer", "score", *PROBABILITIES} & set(table.column_names):
        raise BadInput.at(path, "neither answers nor scores", f"answer, score, or {', '.join(PROBABILITIES)}")
    if not table.num_rows:
        raise BadInput.at(path, "no rows", "predictions")
    columns = []
    for field in SCHEMA:
        if field.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        found = table[field.name]
        if not _fits(found.type, field.type):
            raise BadInput.at(path, str(found.type), "text" if field.type == STRING else "numbers", column=field.name)
        columns.append(found.cast(field.type))
    return pa.table(columns, schema=SCHEMA).combine_chunks()


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_dictionary(found):
        found = found.value_type
    kinds = pa.types
    if wanted == STRING:
        return kinds.is_string(found) or kinds.is_large_string(found) or kinds.is_null(found)
    return kinds.is_floating(found) or kinds.is_integer(found) or kinds.is_null(found)


def _filled(table: pa.Table, path: Path | str, task: str) -> pa.Table:
    """Return predictions with what their file need not say."""
    given = pc.invert(pc.is_null(pc.coalesce(table["score"], table["p_up"], table["p_down"], table["p_none"])))
    named = table["answer"].null_count < table.num_rows
    table = _with(table, "task", pc.fill_null(table["task"], task))
    fill = {
        "model": pc.fill_null(table["model"], Path(path).stem),
        "score_kind": pc.coalesce(table["score_kind"], pc.if_else(given, GIVEN, HARD)),
        "answer": table["answer"] if named else pc.if_else(pc.is_null(table["reason"]), _likeliest(table), None),
    }
    for name, column in fill.items():
        table = _with(table, name, column)
    return table.combine_chunks()


def _with(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), SCHEMA.field(name), column)


def _likeliest(table: pa.Table) -> pa.Array:
    """Return the label of the largest probability, of equal ones the last of LABELS; null where there is none."""
    up, down, none = (table[name] for name in PROBABILITIES)
    none = pc.if_else(pc.equal(table["task"], DIRECTION), pc.fill_null(none, 0.0), none)
    least = pc.max_element_wise(down, none, skip_nulls=False)
    below = pc.if_else(pc.greater(down, none), LABELS[1], LABELS[2])
    likeliest = pc.if_else(pc.greater(up, least), LABELS[0], below)
    return pc.if_else(pc.greater(pc.max_element_wise(up, least), 0.0), likeliest, None)  # all 0: no sample was readable
