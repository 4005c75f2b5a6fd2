"""What every stage that asks a model does around its questions: settle, skip what is known, ask, absorb."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from curation.asking.engine import Asked, Known, ask
from curation.asking.journal import Journal, Neighbours, settle
from curation.asking.progress import Progress
from curation.asking.requests import Endpoint, Request
from curation.schema import TABLES
from curation.selection import query
from curation.store import Store

READ_AT_ONCE = 5_000  # responses


class Ask(Protocol):
    """What asks the requests of a stage: `engine.ask`, or a model in this process that keeps to the same form."""

    def __call__(
        self,
        requests: Iterable[Request],
        endpoint: Endpoint,
        journal: Journal,
        *,
        known: Known,
        concurrency: int,
        timeout: float,
        learn: Callable[[], set[str]],
        tell: Callable[[Asked], None],
    ) -> Asked:
        """Ask what is not known; see `engine.ask`."""
        ...


class How(NamedTuple):
    """How a stage asks: requests in flight, seconds for one try, whether to ask again what would fail again."""

    concurrency: int = 64
    timeout: float = 600.0
    retry_failed: bool = False
    quiet: bool = False


def ask_stage(
    store: Store,
    stage: str,
    target: Endpoint,
    requests: Callable[[bool], Iterable[Request]],
    total: int,
    run_id: str,
    how: How,
    engine: Ask = ask,
) -> Asked:
    """Ask a stage's requests, but for those that the store knows the answer of.

    Args:
        store: where answers are known and kept.
        stage: name of the stage, as in `responses.stage`.
        target: the model, by the provider that its server says it is.
        requests: makes the questions, taken one by one; in a random order if asked to.
        total: how many there are.
        run_id: the run.
        how: limits and habits.
        engine: what asks them.
    """
    settle(store)
    journal, progress = Journal(store, run_id), Progress(stage, total, quiet=how.quiet)
    known, neighbours = _known(store, stage, how.retry_failed), Neighbours(journal.file)
    known.answered |= neighbours.answered()
    in_flight = min(how.concurrency, max(total, 1))
    try:
        return engine(
            # two runs that ask the same in the same order would always be at the same place
            requests(bool(neighbours.read)),
            target,
            journal,
            known=known,
            concurrency=in_flight,
            timeout=how.timeout,
            learn=neighbours.answered,
            tell=progress,
        )
    finally:
        progress.end()
        journal.close()


def read_answers(
    store: Store, stage: str, table: str, already: str, row: Callable[[dict[str, Any]], dict[str, Any]]
) -> int:
    """Read the answers of a stage that were not read yet, as after a kill, into a table; returns how many.

    Args:
        store: the store.
        stage: the stage whose answers these are.
        table: where the rows go.
        already: SQL of a relation whose request_ids are read.
        row: makes a row of a response.
    """
    sql = query("unread_responses").replace("{read_already}", already)

    def unread(number: int) -> tuple[pa.Table, int]:
        found = store.rows(sql, {"stage": stage, "most": READ_AT_ONCE})
        rows = [row(r) for r in found]
        return pa.Table.from_pylist(rows, TABLES[table].schema), number + 1

    total = 0
    while done := store.append_once(table, f"read-{table}", unread):
        total += done
    return total


def _known(store: Store, stage: str, retry_failed: bool) -> Known:
    from curation.asking.transport import FATAL, PASSING

    rows = store.sql(
        "SELECT request_id, answered, failure FROM requests WHERE stage = $stage", {"stage": stage}
    ).to_pylist()
    again = PASSING | FATAL
    return Known(
        [r["request_id"] for r in rows if r["answered"]],
        [r["request_id"] for r in rows if not (r["answered"] or retry_failed or r["failure"] in again)],
    )
