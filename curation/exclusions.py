"""Exclude: hide a bad run, or traces that fit a condition, from every view; a row, so it can be taken back."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from curation import views
from curation.apart import answer
from curation.errors import BadInput
from curation.locked import condition
from curation.printing import shown
from curation.runs import run
from curation.schema import TABLES, content_id, now
from curation.store import Store


class Excluded(NamedTuple):
    """What was hidden, or with `hidden` false is seen again."""

    kind: str
    n: int
    hidden: bool
    reason: str

    def __repr__(self) -> str:
        return shown(self)


def exclude(
    store: Store, *, reason: str, run_id: str | None = None, where: str | None = None, undo: bool = False
) -> Excluded:
    """Hide a run, or the traces that fit a condition; with `undo` show them again.

    The answers of a hidden run count as not answered: the same command asks them again. Versions built before keep
    their rows, and can be rebuilt: the store is read as it was.

    Args:
        store: the store.
        run_id: the run whose responses, traces, grades and verdicts are hidden.
        where: a condition over the columns of `traces`.
        reason: why, for whoever asks later.
        undo: take it back.

    Raises:
        BadInput: neither or both of run and condition, no such run, or nothing that fits.
        RefusedSQL: the condition is none.
    """
    if (run_id is None) == (where is None):
        raise BadInput("give one of --run ID and --where SQL")
    if not reason.strip():
        raise BadInput("--reason: say why, for whoever asks later")
    kind = "trace" if run_id is None else "run"
    subjects = [run_id] if run_id else _fitting(store, where or "", among_hidden=undo)
    if run_id and not store.rows("FROM raw.runs WHERE run_id = $id LIMIT 1", {"id": run_id}):
        raise BadInput(
            f'--run {run_id}: no such run; `synthpert sql "SELECT run_id, command, state FROM runs"` lists them'
        )
    if not subjects:
        raise BadInput(f"--where {where}: no {'hidden ' if undo else ''}trace fits")
    args = {"run" if run_id else "where": run_id or where, "reason": reason} | ({"undo": True} if undo else {})
    with run(store, "exclude", args) as this:
        rows = [
            {
                "exclusion_id": content_id(kind, subject), "kind": kind, "subject": subject, "hidden": not undo,
                "reason": reason, "run_id": this.id, "created": now(),
            }
            for subject in subjects
        ]  # fmt: skip
        store.append("exclusions", pa.Table.from_pylist(rows, TABLES["exclusions"].schema))
    return Excluded(kind, len(subjects), not undo, reason)


def _fitting(store: Store, where: str, *, among_hidden: bool) -> list[str]:
    """Return the ids of the traces that a user's condition fits; those that are hidden, or those that are not."""
    all_traces = {"exclusions": f"SELECT * FROM ({views.texts()['exclusions']}) WHERE kind <> 'trace'"}
    fitting = answer(store, f"SELECT trace_id FROM traces WHERE {condition(where)}", instead=all_traces)
    hidden = {r["subject"] for r in store.rows("SELECT subject FROM exclusions WHERE kind = 'trace'")}
    return [t for t in fitting["trace_id"].to_pylist() if (t in hidden) == among_hidden]
