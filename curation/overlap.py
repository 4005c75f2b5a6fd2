"""Generate and grade at once: a critic is asked about each trace as soon as it has been read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation.asking.asked import Asked
from curation.asking.engine import find_provider
from curation.asking.requests import Endpoint, Request
from curation.asking.stage import How, Stage, ask_stages
from curation.grades import GRADES, Opinion, valid_traces
from curation.prompting import load
from curation.runs import run
from curation.schema import REHEARSAL
from curation.selection import Selection
from curation.store import Store
from curation.traces import TRACES, prepare

OVERLAP = timedelta(minutes=5)  # a trace's time is that of its reading, and its commit comes a little later


def generate_and_grade(
    store: Store,
    selection: Selection,
    generator: Endpoint,
    critic: Endpoint,
    *,
    approach: str = "explain",
    correct_only: bool = False,
    samples: int = 1,
    prompts: Path | None = None,
    how: How = How(),  # noqa: B008 - an immutable tuple
) -> tuple[Asked, Asked]:
    """Ask for a trace of each example of a set, and a critic about each valid one, side by side.

    The same requests as `generate` and then `grade` would send, on one budget; two runs stand in the store.

    Args:
        store: the store.
        selection: the set.
        generator: the model that explains.
        critic: the model that grades, one opinion a trace.
        approach: explain (the outcome is shown), blind (hidden) or control (a wrong one is shown).
        correct_only: leave out traces whose answer is wrong, which no dataset takes anyway.
        samples: answers an example.
        prompts: a folder of the user's own prompt files.
        how: limits and habits of asking; the number in flight is for each of the two models.

    Returns:
        The counts of requests: of the generator, of the critic.
    """
    critic = find_provider(critic)
    opinion = Opinion(load("critic", prompts), load("standard", prompts), 1)
    traces = prepare(store, selection, generator, approach, samples, prompts)
    feed = Feed(store, selection, approach, correct_only, critic.provider == REHEARSAL, opinion)
    traces = traces._replace(read=feed.more, ended=feed.close)
    given = [
        ("generate", {**selection.given(), "approach": approach, **generator.given(samples, prompts)}),
        ("grade", _short({**selection.given(), "correct_only": correct_only, **critic.given(1, prompts)})),
    ]
    with ExitStack() as stack:
        runs = [stack.enter_context(run(store, command, args)) for command, args in given]
        read = GRADES.follow(store)
        grades = Stage("grade", critic, feed.requests, traces.total, read=read, tally="graded")
        stages = [stage._replace(run_id=this.id) for stage, this in zip((traces, grades), runs, strict=True)]
        made = graded = None
        try:
            made, graded = ask_stages(store, stages, how)
        finally:
            feed.read.end(made)
            read.end(graded)
            store.compact()
        for this, done in zip(runs, (made, graded), strict=True):
            this.stopped = done.stopped is not None
        return made, graded


class Feed:
    """The critic's questions, made while traces are: filled by one thread, taken from by another."""

    def __init__(
        self,
        store: Store,
        selection: Selection,
        approach: str,
        correct_only: bool,
        rehearsed: bool,
        opinion: Opinion,
    ) -> None:
        self.store, self.opinion = store, opinion
        self.wanted = (selection, approach, correct_only, rehearsed)
        self.since: datetime | None = None
        self.seen: set[str] = set()
        self.waiting: deque[Request] = deque()
        self.closed = False
        self.read = TRACES.follow(store)
        self.take()  # of what earlier runs made

    def more(self, responses: pa.Table) -> None:
        """Read the answers that have come, and take up the traces that are new."""
        self.read(responses)
        self.take()

    def take(self) -> None:
        """Take up the traces that are new."""
        found = valid_traces(self.store, *self.wanted, since=self.since)
        for request in self.opinion.asked(found):
            if request.subject_id not in self.seen:
                self.seen.add(request.subject_id)
                self.waiting.append(request)
        if times := found["created"].to_pylist():
            self.since = max(times) - OVERLAP

    def close(self) -> None:
        """No more are coming."""
        self.closed = True

    def requests(self, shuffled: bool) -> Iterator[Request | None]:
        """Yield the questions, and None while there is none yet."""
        while not (self.closed and not self.waiting):
            yield self.waiting.popleft() if self.waiting else None


def _short(args: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in args.items() if v}
