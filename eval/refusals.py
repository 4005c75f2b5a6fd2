"""Refusals: what makes predictions unfit to be scored, each told in one line that names the row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import BadInput
from curation.schema import LABELS
from eval.words import ANSWERS, ASKED, KEY, KINDS, PROBABILITIES

ROUNDING = 1e-6  # by which the probabilities of a row may exceed 1


def checked(table: pa.Table, path: Path | str, first: int = 1) -> pa.Table:
    """Return predictions as they are, if nothing is wrong with them.

    Args:
        table: of predictions.SCHEMA.
        path: the file.
        first: the line in it that the first row stands in.

    Raises:
        BadInput: an id is missing or twice in one set; a word is none of those that can be; a number is no probability,
            or not finite.
    """

    def refuse(column: str, bad: Any, wanted: str) -> None:
        """Refuse the first row that is bad; a null is none."""
        if (row := pc.index(pc.fill_null(bad, False), True).as_py()) >= 0:
            raise BadInput.at(path, repr(table[column][row].as_py()), wanted, line=row + first, column=column)

    refuse("example_id", pc.is_null(table["example_id"]), "an id on each row")
    for column, words in {"task": ASKED, "score_kind": KINDS, "answer": ANSWERS, "label": LABELS}.items():
        bad = pc.invert(pc.is_in(table[column], value_set=pa.array([*words, None], pa.string())))
        refuse(column, bad, f"one of {', '.join(words)}" + (", or null" if column == "answer" else ""))
    for column in ("score", *PROBABILITIES):
        refuse(column, pc.invert(pc.is_finite(table[column])), "a finite number, or null")
    for column in PROBABILITIES:
        bad = pc.or_(pc.less(table[column], 0.0), pc.greater(table[column], 1.0))
        refuse(column, bad, "a probability from 0 to 1 (any other number is a `score`)")
    _sums(path, table, first)
    _twice(path, table, first)
    return table


def grouped(table: pa.Table, columns: Sequence[str]) -> tuple[pa.Array, list[dict[str, Any]]]:
    """Return the group of each row, from 0 in the order of their first rows, and what the rows of each group share."""
    numbered = table.select(columns).append_column("row", pa.array(range(table.num_rows)))
    first = numbered.group_by(list(columns), use_threads=False).aggregate([("row", "min")]).sort_by("row_min")
    named = {tuple(r[c] for c in columns): n for n, r in enumerate(first.to_pylist())}
    if len(named) == 1:
        return pa.array([0] * table.num_rows), first.select(columns).to_pylist()
    rows = zip(*(table[c].to_pylist() for c in columns), strict=True)
    return pa.array([named[row] for row in rows]), first.select(columns).to_pylist()


def _sums(path: Path | str, table: pa.Table, first: int) -> None:
    up, down, none = (pc.fill_null(table[name], 0.0) for name in PROBABILITIES)
    sums = pc.add(pc.add(up, down), none)
    if (row := pc.index(pc.greater(sums, 1 + ROUNDING), True).as_py()) >= 0:
        found = f"a sum of {sums[row].as_py():g}"
        wanted = "probabilities of at most 1 in all"
        raise BadInput.at(path, found, wanted, line=row + first, column=", ".join(PROBABILITIES))


def _twice(path: Path | str, table: pa.Table, first: int) -> None:
    keys = ["example_id", *KEY]
    numbered = table.select(keys).append_column("row", pa.array(range(table.num_rows)))
    counted = numbered.group_by(keys).aggregate([("row", "count"), ("row", "min")])
    again = counted.filter(pc.greater(counted["row_count"], 1)).sort_by("row_min")
    if again.num_rows:
        one, more = again.slice(0, 1).to_pylist()[0], again.num_rows - 1
        found = f"{one['example_id']} {one['row_count']} times" + (f", and {more:,} others" if more else "")
        wanted = "each example once for a model, task, dataset, split and side"
        raise BadInput.at(path, found, wanted, line=one["row_min"] + first, column="example_id")
