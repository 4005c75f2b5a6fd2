"""Check: run the checks on the traces that they have not seen, and tell what they found."""

from __future__ import annotations

import sys
import time
from typing import Any

import pyarrow as pa

from curation.checks import NAMES, check_trace, version
from curation.errors import BadInput
from curation.runs import run
from curation.schema import TABLES, content_id, now
from curation.selection import query
from curation.store import Store

BATCH = 5_000  # traces a commit: what a kill may cost, some ten seconds of work
EVERY = 10.0  # seconds between two lines of progress, where there is no terminal


def check(store: Store, *, quiet: bool = False) -> dict[str, Any]:
    """Run every check on each trace that this version of the checks has not seen; a second start goes on.

    Args:
        store: the store.
        quiet: no progress on stderr.

    Returns:
        checked (now), traces (with the ones before), version, and by: [{check, found, traces}], over all traces that
        are not hidden.
    """
    done, began = 0, time.monotonic()
    total = store.rows(query("unchecked_count"), {"version": version()})[0]["n"]
    if total:
        with run(store, "check", {"version": version()}) as this:
            while made := _check_some(store, this.id):
                done += made
                began = _tell(done, total, began, quiet)
            store.compact()
    by = counts(store)
    return {"checked": done, "traces": by[0]["traces"], "version": version(), "by": by}


def counts(store: Store) -> list[dict[str, Any]]:
    """Return for each check how many of the checked traces it found something in: check, found, traces."""
    found = store.rows(query("check_counts"))[0]
    return [{"check": name, "found": found[name], "traces": found["traces"]} for name in NAMES]


def listed(store: Store, name: str) -> list[dict[str, Any]]:
    """Return what one check found: trace_id, cell_line, pert, gene, words.

    Raises:
        BadInput: there is no such check, or nothing has been checked yet.
    """
    if name not in NAMES:
        raise BadInput(f"--list {name}: not one of {', '.join(NAMES)}")
    if not counts(store)[0]["traces"]:
        raise BadInput(f"--list {name}: nothing is checked yet; `synthpert check` does it")
    sql = f"SELECT trace_id, cell_line, pert, gene, {name} AS words FROM traces WHERE {name} IS NOT NULL ORDER BY ALL"
    return store.rows(sql)


def _check_some(store: Store, run_id: str) -> int:
    def rows(number: int) -> tuple[pa.Table, int]:
        found = store.rows(query("unchecked"), {"version": version(), "most": BATCH})
        return pa.Table.from_pylist([_row(t, run_id) for t in found], TABLES["checks"].schema), number + 1

    return store.append_once("checks", "check", rows)


def _row(trace: dict[str, Any], run_id: str) -> dict[str, Any]:
    key = content_id(trace["trace_id"], version())
    about = {"check_id": key, "trace_id": trace["trace_id"], "version": version(), "run_id": run_id, "created": now()}
    return about | check_trace(trace)


def _tell(done: int, total: int, last: float, quiet: bool) -> float:
    """Print how far it is: a line that is redrawn in a terminal, elsewhere one now and then."""
    terminal = sys.stderr.isatty()
    if quiet or not (terminal or done >= total or time.monotonic() - last > EVERY):
        return last
    start, end = ("\r\x1b[K", "" if done < total else "\n") if terminal else ("", "\n")
    print(f"{start}check: {done:,} of {total:,} traces", end=end, file=sys.stderr, flush=True)
    return time.monotonic()
