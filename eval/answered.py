"""Answered: one set of predictions beside what was measured, as arrays over the examples that were to be predicted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import BadInput
from curation.schema import LABELS
from eval.words import DE, DIRECTION, HARD, PROBABILITIES, THREE_CLASS

MEASURED = ("example_id", "cell_line", "pert", "gene", "label")
NONE = LABELS.index("not differentially expressed")
TINY = 1e-9  # what may be missing of a sum of probabilities by rounding


class Answered(NamedTuple):
    """Arrays over examples: what was measured and what one model said."""

    shared: Mapping[str, str | None]  # task, model, dataset, split, side
    kind: str  # hard, share, given: what its scores rest on
    measured: pa.Table  # MEASURED
    whole: bool  # whether these are all examples that were to be predicted, or only those that were
    truth: np.ndarray  # (n,): number of the label in LABELS
    given: np.ndarray  # (n,): whether there is a prediction
    answer: np.ndarray  # (n,): number of the label, 3 if there is no answer
    probabilities: np.ndarray  # (n, 3): NaN where there are none
    score: np.ndarray  # (n,): NaN where there is none


class Side(NamedTuple):
    """How a score of two classes is read of an answer: what speaks for the positive one, and what is left open."""

    yes: np.ndarray
    rest: np.ndarray


class View(NamedTuple):
    """The answers as one task sees them; the scores' arrays are NaN where there is no prediction."""

    task: str
    classes: tuple[str, ...]
    truth: np.ndarray  # (n,): number of the class
    answer: np.ndarray | None  # (n,): number of the class, len(classes) if there is none; None: no labels, scores only
    given: np.ndarray
    side: Side | None  # of the first class; None where the task has three
    probable: bool  # whether its numbers are probabilities


def lay(
    table: pa.Table,
    shared: Mapping[str, str | None],
    measured: pa.Table | None,
    path: Path | str,
    place: Callable[[str], str] = str,
) -> Answered:
    """Lay one set of predictions beside what was measured.

    Args:
        table: predictions of one model, task, dataset, split and side.
        shared: those.
        measured: the examples that were to be predicted: MEASURED; None: those of the predictions themselves.
        path: the file, for errors.
        place: tells for an error what an example is that was not to be predicted.

    Raises:
        BadInput: an example is none of those that were to be predicted, or the file says another label than was
            measured; nothing is known of what was measured.
    """
    whole = measured is not None
    measured = _own(table, path) if measured is None else measured.select(MEASURED)
    if shared["task"] == DIRECTION:
        table, measured = _changed(table, measured, path)
    places = pc.index_in(table["example_id"], value_set=measured["example_id"].combine_chunks())
    _known(table, places, shared, path, place)
    at = places.to_numpy()
    _same_labels(table, measured, at, path)
    n = measured.num_rows
    score = _spread(table["score"], at, n)
    answer = np.full(n, len(LABELS))
    answer[at] = _numbers(table["answer"])
    given = np.zeros(n, bool)
    given[at] = True
    if np.isfinite(score).any():  # of a scale that has no middle, so that no score is no prediction
        given &= np.isfinite(score)
    kinds = sorted(set(table["score_kind"].to_pylist()))
    probabilities = np.stack([_spread(table[p], at, n) for p in PROBABILITIES], axis=1)
    truth = _numbers(measured["label"])
    return Answered(shared, ", ".join(kinds), measured, whole, truth, given, answer, probabilities, score)


def views(a: Answered) -> list[View]:
    """Return what is scored of a set of predictions: three-class and differential expression, or direction."""
    labels = None if np.isfinite(a.score).any() and (a.answer == len(LABELS)).all() else a.answer
    if a.shared["task"] == DIRECTION:
        answer = None if labels is None else np.where(labels < NONE, labels, 2)
        return [View(DIRECTION, ("up", "down"), a.truth, answer, a.given, *_direction(a))]
    changed = None if labels is None else np.array([0, 0, 1, 2])[labels]
    de = View(DE, ("de", "none"), (a.truth == NONE).astype(int), changed, a.given, *_change(a))
    three = View(THREE_CLASS, ("up", "down", "none"), a.truth, labels, a.given, None, False)
    return [de] if labels is None else [three, de]


def _change(a: Answered) -> tuple[Side, bool]:
    up, down, none = a.probabilities.T
    return _side(a, up + down, none, a.answer < NONE, a.answer == NONE)


def _direction(a: Answered) -> tuple[Side, bool]:
    up, down, _ = a.probabilities.T
    return _side(a, up, down, a.answer == 0, a.answer == 1)


def _side(a: Answered, yes: np.ndarray, no: np.ndarray, said_yes: np.ndarray, said_no: np.ndarray) -> tuple[Side, bool]:
    """Return what speaks for the positive class: a score of the model's own, else probabilities, else the answer."""
    if np.isfinite(a.score).any():
        return Side(a.score, np.zeros(len(a.score))), False
    probable = np.isfinite(yes) & np.isfinite(no)
    yes, no = np.where(probable, yes, said_yes), np.where(probable, no, said_no)
    rest = 1 - yes - no
    return Side(yes, np.where(rest > TINY, rest, 0.0)), a.kind != HARD and bool(probable[a.given].all())


def _own(table: pa.Table, path: Path | str) -> pa.Table:
    """Return what predictions themselves say was measured."""
    for name in MEASURED[1:]:
        if table[name].null_count:
            wanted = f"{name}, to be scored without the dataset; --dataset DATASET knows what was measured"
            raise BadInput.at(path, f"rows without {name}", wanted)
    return table.select(MEASURED)


def _changed(table: pa.Table, measured: pa.Table, path: Path | str) -> tuple[pa.Table, pa.Table]:
    """Return both without examples that did not change: the question of direction is not asked of those."""
    still = measured.filter(pc.equal(measured["label"], LABELS[NONE]))["example_id"].combine_chunks()
    asked = table.filter(pc.invert(pc.is_in(table["example_id"], value_set=still)))
    if not asked.num_rows:
        raise BadInput.at(path, "no example that changed", "the direction of some that did")
    return asked, measured.filter(pc.not_equal(measured["label"], LABELS[NONE]))


def _known(
    table: pa.Table, places: Any, shared: Mapping[str, str | None], path: Path | str, place: Callable[[str], str]
) -> None:
    if n := places.null_count:
        one = table["example_id"][pc.index(pc.is_null(places), True).as_py()].as_py()
        found = f"{n:,} of {table.num_rows:,} ids that are not: {one} is {place(one)}"
        raise BadInput.at(path, found, f"ids of the {shared['side']} side of {shared['split']}", column="example_id")


def _same_labels(table: pa.Table, measured: pa.Table, at: np.ndarray, path: Path | str) -> None:
    told = table["label"].combine_chunks()
    other = pc.fill_null(pc.not_equal(told, measured["label"].combine_chunks().take(pa.array(at))), False)
    if (row := pc.index(other, True).as_py()) >= 0:
        wanted = f"{measured['label'][int(at[row])].as_py()!r}, as the dataset has it"
        raise BadInput.at(path, repr(told[row].as_py()), wanted, line=row + 1, column="label")


def _numbers(labels: pa.ChunkedArray) -> np.ndarray:
    """Return the numbers of labels in LABELS; 3 for anything else."""
    found = pc.index_in(labels, value_set=pa.array(LABELS))
    return pc.fill_null(found, len(LABELS)).to_numpy().astype(int)


def _spread(values: pa.ChunkedArray, at: np.ndarray, n: int) -> np.ndarray:
    spread = np.full(n, np.nan)
    spread[at] = pc.fill_null(values, np.nan).to_numpy()
    return spread
