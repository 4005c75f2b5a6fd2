"""What every stage that asks a model does around its questions: settle, skip what is known, ask, absorb."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from curation.asking.asked import Asked
from curation.asking.budget import Budget
from curation.asking.engine import ask_all
from curation.asking.jobs import Known
from curation.asking.journal import Journal, Neighbours, in_table, settle
from curation.asking.limits import Given, Limits
from curation.asking.progress import Part, View, tally
from curation.asking.replies import FATAL, PASSING
from curation.asking.requests import Endpoint, Request
from curation.asking.work import Work
from curation.config import model_settings
from curation.errors import StoreError
from curation.selection import query
from curation.store import Store


class Ask(Protocol):
    """What asks the requests of a stage in the engine's place: a model in this process."""

    def __call__(self, requests: Iterable[Request | None], endpoint: Endpoint, journal: Journal, **how: Any) -> Asked:
        """Ask what is not known; see `work.Work` for what is given."""
        ...


class How(NamedTuple):
    """How a stage asks: requests in flight, seconds for one try, whether to ask again what would fail again.

    And what a run may spend: dollars, and requests sent.
    """

    concurrency: int = 64
    timeout: float = 600.0
    retry_failed: bool = False
    quiet: bool = False
    budget_usd: float | None = None
    max_requests: int | None = None


class Stage(NamedTuple):
    """What a stage has to ask, of whom, and what becomes of the answers.

    Attributes:
        name: as in `responses.stage`.
        target: the model, by the provider that its server says it is.
        requests: makes the questions, taken one by one; in a random order if asked to.
        total: how many there are, as far as one knows.
        run_id: the run, once there is one.
        read: called with the rows of replies that have reached the table.
        ended: called when all answers have.
        tally: what the live view says of the answers that one wants; `tally_NAME.sql` counts what they became.
    """

    name: str
    target: Endpoint
    requests: Callable[[bool], Iterable[Request | None]]
    total: int
    run_id: str = ""
    read: Callable[[pa.Table], object] = len
    ended: Callable[[], object] = lambda: None
    tally: str = ""


def ask_stage(store: Store, stage: Stage, how: How, engine: Ask | None = None) -> Asked:
    """Ask a stage's requests, but for those that the store knows the answer of.

    Args:
        store: where answers are known and kept.
        stage: what is asked.
        how: limits and habits.
        engine: what asks them, if it is no endpoint.
    """
    if engine is None:
        return ask_stages(store, [stage], how)[0]
    settle(store)
    part = Part(stage.name, stage.total, stage.tally)
    ours = {stage.run_id}
    with View([part], quiet=how.quiet) as view, _prepared(store, stage, ours, how, Budget(), view, part) as prepared:
        requests, journal, options = prepared
        return engine(requests, stage.target, journal, **options)


def ask_stages(store: Store, stages: list[Stage], how: How) -> list[Asked]:
    """Ask several stages' requests side by side, on one budget; returns their counts."""
    settle(store)
    budget, ours = Budget(how.budget_usd, how.max_requests), {stage.run_id for stage in stages}
    parts = [Part(stage.name, stage.total, stage.tally, at_most=bool(n)) for n, stage in enumerate(stages)]
    with View(parts, quiet=how.quiet) as view, ExitStack() as stack:
        prepared = [
            stack.enter_context(_prepared(store, stage, ours, how, budget, view, part))
            for stage, part in zip(stages, parts, strict=True)
        ]
        works = [
            Work(requests, stage.target, journal, **options)
            for stage, (requests, journal, options) in zip(stages, prepared, strict=True)
        ]
        first: dict[tuple[str, str], Limits] = {}
        for work in works:
            work.limits.share(first.setdefault((work.endpoint.provider, work.endpoint.model), work.limits))
        return ask_all(works)


@contextmanager
def _prepared(
    store: Store, stage: Stage, ours: set[str], how: How, budget: Budget, view: View, part: Part
) -> Iterator[tuple[Iterable[Request | None], Journal, dict[str, Any]]]:
    """Yield the requests, where their answers go, and all else that the engine wants to know."""
    journal = Journal(store, stage.run_id)
    neighbours = Neighbours(store.journals, ours, partial(in_table, store))
    elsewhere = neighbours.answered()  # first: what leaves a journal is in the table by then
    known = _known(store, stage.name, how.retry_failed)
    known.answered |= elsewhere

    def read(responses: pa.Table) -> None:
        stage.read(responses)
        if stage.tally and not how.quiet:
            with suppress(StoreError):  # it is looked at, and nothing rests on it
                part.tally = tally(store.rows(query(f"tally_{stage.tally}"), {"run": stage.run_id}))

    options = {
        "known": known,
        "concurrency": min(how.concurrency, max(stage.total, 1)),
        "timeout": how.timeout,
        "given": limits_of(stage.target),
        "budget": budget,
        "learn": neighbours.answered,
        "absorbed": read,
        "ended": stage.ended,
        "tell": view.teller(part),
    }
    try:
        # two runs that ask the same in the same order would always be at the same place
        yield stage.requests(neighbours.met), journal, options
    finally:
        journal.close()


def limits_of(endpoint: Endpoint) -> Given:
    """Return the limits that a model's table in synthpert.toml gives."""
    settings = model_settings(endpoint.model)
    return Given(settings.get("requests_per_minute"), settings.get("tokens_per_minute"))


def _known(store: Store, stage: str, retry_failed: bool) -> Known:
    rows = store.sql(
        "SELECT request_id, answered, failure FROM requests WHERE stage = $stage", {"stage": stage}
    ).to_pylist()
    again = PASSING | FATAL
    return Known(
        [r["request_id"] for r in rows if r["answered"]],
        [r["request_id"] for r in rows if not (r["answered"] or retry_failed or r["failure"] in again)],
    )
