"""CSV: predictions as any outside tool can write them: cell_line, pert, gene, and a label, probabilities or a score."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import BadInput
from curation.schema import content_id
from eval.words import PROBABILITIES

PAIR = ("cell_line", "pert", "gene")
NUMBERS = ("score", *PROBABILITIES)
FEW = 3  # lines that are named of those that are not known


class FromCSV(NamedTuple):
    """Predictions from a CSV file, and the lines of it that are about no example that was to be predicted."""

    table: pa.Table
    unknown: list[int]


def read(path: Path | str, measured: pa.Table) -> FromCSV:
    """Read predictions from a CSV file with a header.

    Args:
        path: with the columns cell_line, pert, gene and `label` (what was predicted, in words), or p_up, p_down and
            p_none, or `score`; empty is null.
        measured: the examples that were to be predicted.

    Raises:
        BadInput: no such file, other columns, a number that is none, or no line about such an example.
    """
    import pyarrow.csv

    if not Path(path).is_file():
        raise BadInput.at(path, "no such file", "a CSV file of predictions")
    options = pyarrow.csv.ConvertOptions(
        default_column_type=pa.string(), null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=True
    )
    try:
        text = pyarrow.csv.read_csv(path, convert_options=options)
    except pa.ArrowInvalid as e:
        raise BadInput.at(path, f"no CSV ({str(e).splitlines()[0]})", "a header and lines of as many cells") from e
    return _known(_predictions(text, path), measured, path)


def _predictions(text: pa.Table, path: Path | str) -> pa.Table:
    for name in PAIR:
        if name not in text.column_names:
            wanted = "cell_line, pert, gene and label, probabilities or score"
            raise BadInput.at(path, f"the columns {', '.join(text.column_names)}", wanted)
        if (row := pc.index(pc.is_null(text[name]), True).as_py()) >= 0:
            raise BadInput.at(path, "nothing", "a name", line=row + 2, column=name)
    ids = [content_id(*names) for names in zip(*(text[c].to_pylist() for c in PAIR), strict=True)]
    found = {"example_id": pa.array(ids, pa.string())}
    for column in text.column_names:
        found["answer" if column == "label" else column] = _numbers(text, column, path)
    return pa.table(found)


def _numbers(text: pa.Table, column: str, path: Path | str) -> pa.ChunkedArray:
    if column not in NUMBERS:
        return text[column]
    try:
        return pc.cast(text[column], pa.float64())
    except pa.ArrowInvalid:
        row = next(n for n, cell in enumerate(text[column].to_pylist()) if cell is not None and not _number(cell))
        raise BadInput.at(path, repr(text[column][row].as_py()), "a number", line=row + 2, column=column) from None


def _number(cell: str) -> bool:
    try:
        pc.cast(pa.array([cell]), pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def _known(table: pa.Table, measured: pa.Table, path: Path | str) -> FromCSV:
    known = pc.is_in(table["example_id"], value_set=measured["example_id"].combine_chunks())
    kept = table.filter(known)
    if table.num_rows and not kept.num_rows:
        names = " ".join(table[c][0].as_py() for c in PAIR)
        raise BadInput.at(path, f"no known pair, {names} for one", "pairs of the side that is scored, as the dataset "
                          "writes them")  # fmt: skip
    unknown = [n + 2 for n, one in enumerate(known.to_pylist()) if not one]
    return FromCSV(kept, unknown)


def told(unknown: list[int], path: Path | str) -> str:
    """Return in words which lines are left out."""
    first = ", ".join(map(str, unknown[:FEW])) + (", ..." if len(unknown) > FEW else "")
    return f"{path}: {len(unknown):,} lines are about no example of this side and are left out (lines {first})"
