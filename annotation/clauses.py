"""The clauses of a text: spans of character offsets that an expert can judge, and how they are kept.

Clauses that the store holds for a text stand as they are, whatever the segmenter would make of the text today: a
verdict belongs to a clause, and must not lose it to a new version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

import pyarrow as pa

from annotation.blocks import blocks
from annotation.claims import claims
from annotation.sentences import LIBRARY, sentences, trim
from curation.errors import BadInput
from curation.schema import TABLES, content_id, now
from curation.store import Store

RULES = "1"  # a change of what is cut where raises it
SEGMENTER = f"{LIBRARY}, rules {RULES}"
_WORD = re.compile(r"[^\W_]")


class Span(NamedTuple):
    """A clause: its first character and one past its last, in the exact text, and what stands between."""

    start: int
    end: int
    text: str


def cut(text: str) -> list[Span]:
    """Cut a text into clauses: in order, none overlapping, every letter and digit in just one of them."""
    return [Span(start, end, text[start:end]) for start, end in _pieces(text) if _WORD.search(text, start, end)]


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    for block in blocks(text):
        inside = text[block.start : block.end]
        for start, end in [(0, len(inside))] if block.code else sentences(inside):
            for first, last in claims(inside[start:end]):
                yield trim(text, block.start + start + first, block.start + start + last)


def of_traces(store: Store, ids: Iterable[str], subject: str = "trace") -> pa.Table:
    """Return the clauses of traces: those that the store holds for their texts, else new ones, which are not written.

    Args:
        store: the store.
        ids: whole ids; a trace that several times is named counts once.
        subject: `prediction` for ids of predictions.

    Returns:
        Rows of the table `clauses`, by trace in the order given, then by place. New ones have no run_id and no time.
        A trace without reasoning has none.

    Raises:
        BadInput: the store holds no trace of such an id.
    """
    ids = list(dict.fromkeys(ids))
    texts = _texts(store, ids, subject)
    if missing := [i for i in ids if i not in texts]:
        raise BadInput(f"{missing[0]}: no {subject} has this id")
    stored = _stored(store, ids, subject)
    found = [row for i in ids for row in _of_text(i, texts[i] or "", stored.get(i, []), subject)]
    return pa.Table.from_pylist(found, TABLES["clauses"].schema)


def record(store: Store, ids: Iterable[str], run_id: str, subject: str = "trace") -> int:
    """Write the clauses of those traces whose texts have none in the store; returns how many.

    What another process writes in the meantime is reused: a text never gets two cuts.

    Raises:
        BadInput: the store holds no trace, or no prediction if that is the subject, of such an id.
    """
    ids = list(ids)

    def new(number: int) -> tuple[pa.Table, int]:
        rows = [row for row in of_traces(store, ids, subject).to_pylist() if row["run_id"] is None]
        made = {"run_id": run_id, "created": now()}
        return pa.Table.from_pylist([row | made for row in rows], TABLES["clauses"].schema), number + 1

    return store.append_once("clauses", "new-clauses", new)


def _texts(store: Store, ids: list[str], subject: str) -> dict[str, str | None]:
    """Return the latest reading of each trace, hidden ones too."""
    query = f"""
        SELECT {subject}_id AS id, reasoning FROM raw.{subject}s WHERE id IN (SELECT unnest($ids::VARCHAR[]))
        QUALIFY row_number() OVER (PARTITION BY id ORDER BY created DESC) = 1
    """
    return {row["id"]: row["reasoning"] for row in store.rows(query, {"ids": ids})}


def _stored(store: Store, ids: list[str], subject: str) -> dict[str, list[list[dict[str, Any]]]]:
    """Return the cuts that the store holds of each trace, the latest first; a run writes all clauses of a text."""
    query = """
        SELECT * FROM raw.clauses WHERE subject = $subject AND subject_id IN (SELECT unnest($ids::VARCHAR[]))
        ORDER BY subject_id, created DESC, run_id, n
    """
    found: dict[str, list[list[dict[str, Any]]]] = {}
    for (subject_id, _, _), rows in groupby(
        store.rows(query, {"ids": ids, "subject": subject}),
        key=lambda row: (row["subject_id"], row["created"], row["run_id"]),
    ):
        found.setdefault(subject_id, []).append(list(rows))
    return found


def _of_text(subject_id: str, text: str, stored: list[list[dict[str, Any]]], subject: str) -> list[dict[str, Any]]:
    """Return the latest stored cut that is one of this text, which a new reader may have read anew; else a new one."""
    for rows in stored:
        if _is_cut(text, rows):
            return rows
    return [
        {
            "clause_id": content_id(subject_id, span.start, span.end, span.text),
            "subject": subject,
            "subject_id": subject_id,
            "n": n,
            "start_char": span.start,
            "end_char": span.end,
            "text": span.text,
            "segmenter": SEGMENTER,
            "run_id": None,
            "created": None,
        }
        for n, span in enumerate(cut(text))
    ]


def _is_cut(text: str, rows: list[dict[str, Any]]) -> bool:
    """Tell whether clauses are a whole cut of just this text: nothing else at their places, and no word left out."""
    at = 0
    for row in rows:
        start, end = row["start_char"], row["end_char"]
        if start < at or text[start:end] != row["text"] or _WORD.search(text, at, start):
            return False
        at = end
    return not _WORD.search(text, at)
