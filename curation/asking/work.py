"""One model's requests while they are asked: taken one by one, tried again where that may help, every reply kept."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any

import pyarrow as pa

from curation.asking import transport
from curation.asking.budget import Budget
from curation.asking.jobs import Job, Jobs, Known
from curation.asking.journal import Journal
from curation.asking.limits import Given, Limits
from curation.asking.replies import FATAL, PASSING, Reply
from curation.asking.requests import Endpoint, Request
from curation.asking.transport import Wire

TRIES, REFUSALS = 6, 20  # of one request within a run; a 429 says nothing of the request, only of the moment
STARVED = 150.0  # seconds in which a server refuses all: what it allows a minute is not what is missing
PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds; doubled each time, where the server does not say how long
LONGEST_WAIT = 600.0  # seconds that a server may ask us to wait within a run
LAST_WORDS = 0.5  # seconds for what is in flight, where going on makes no sense
SYNC_EVERY, ABSORB_ROWS = 1.0, 2_000  # seconds, rows
LEARN_OFTEN = 4  # times between two syncs, what other runs were answered is looked up
ABSORB_FIRST, ABSORB_EVERY = 2.0, 15.0  # seconds; doubled from the first to the second
LOOK_AGAIN, LONGEST_LOOK = 1.0, 5.0  # seconds, where another model's requests hold the budget, and for a rate


@dataclass
class Asked:
    """What became of the requests of one run."""

    asked: int = 0  # requests sent, whatever came of them
    answered: int = 0
    cached: int = 0  # answered by an earlier run
    failed: int = 0  # given up, or known to fail again
    usd: float | None = 0.0  # None as soon as one price is unknown
    left: int = 0  # not answered, as the run stopped
    stopped: str | None = None  # why it stopped before the end
    in_flight: int = 0
    retried: int = 0  # tries beyond the first
    failures: dict[str, int] = field(default_factory=dict)  # of those given up, by reason

    def json(self) -> dict[str, Any]:
        """Return the fields for --json."""
        return {k: v for k, v in asdict(self).items() if k not in ("in_flight", "retried", "failures")}

    def give_up(self, why: str, n: int = 1) -> None:
        """Count requests as failed."""
        self.failed += n
        self.failures[why] = self.failures.get(why, 0) + n


class Work:
    """One model's requests while they are asked.

    Args:
        requests: the questions, taken one by one as there is room; None where another stage has yet to make one.
        endpoint: the model; its provider is settled already (see `find_provider`).
        journal: where replies go.
        known: requests that are not asked; those asked here are added.
        concurrency: requests in flight.
        timeout: seconds for one try.
        given: limits that the user gives.
        budget: what may be spent, shared with others if they are given the same one.
        learn: called now and then; requests that were answered elsewhere meanwhile.
        absorbed: called with the rows of replies that have reached the table.
        ended: called after the last of them has.
        tell: called each second with the count so far.
    """

    def __init__(
        self,
        requests: Iterable[Request | None],
        endpoint: Endpoint,
        journal: Journal,
        *,
        known: Known,
        concurrency: int = 64,
        timeout: float = 600.0,
        given: Given = Given(),  # noqa: B008 - an immutable tuple
        budget: Budget | None = None,
        learn: Callable[[], set[str]] = set,
        absorbed: Callable[[pa.Table], object] = len,
        ended: Callable[[], object] = lambda: None,
        tell: Callable[[Asked], None] = lambda asked: None,
    ) -> None:
        self.endpoint, self.journal, self.known, self.timeout = endpoint, journal, known, timeout
        self.learn, self.absorbed, self.ended, self.tell = learn, absorbed, ended, tell
        self.count = Asked()
        self.jobs, self.concurrency = Jobs(requests, endpoint, known), concurrency
        self.limits, self.budget = Limits(concurrency, given), budget or Budget()
        self.stop, self.beside, self.absorbing = asyncio.Event(), ThreadPoolExecutor(1), Lock()
        self.door = asyncio.Lock()  # one waits for room at a time: a thousand that look each moment take all the time
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.workers: asyncio.Future[list[None]]
        self.broken: OSError | None = None  # why nothing can be kept
        self.fatal: str | None = None  # why asking on makes no sense
        self.refused: float | None = None  # since when it refuses all
        self.interrupted = False

    async def run(self) -> None:
        """Ask until all is answered, given up, or a stop."""
        keeper = asyncio.create_task(self.keep())
        async with transport.open_wire(self.endpoint) as wire:
            self.workers = asyncio.gather(*(self.worker(wire) for _ in range(self.concurrency)))
            ends: list[asyncio.Future[Any]] = [self.workers, keeper]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if keeper.done():  # by an error: what is in flight is paid, and the journal may still take it
                self.halt()
                await asyncio.wait([self.workers])
            for ended in ends:
                with suppress(asyncio.CancelledError):  # those that were in flight and are given up
                    _ = ended.done() and ended.result()
            keeper.cancel()
        if self.broken:
            raise self.broken
        self.told()
        await self.aside(self.absorb)
        self.ended()

    def total(self) -> Asked:
        """Return the count with what is left, which a stopped run has not even looked at."""
        self.jobs.count_rest()
        self._count_known()
        count = self.count
        count.left = self.jobs.taken - count.cached - count.answered - count.failed
        return count

    def halt(self, why: str | None = None) -> None:
        """Ask nothing new; what is in flight is waited for."""
        self.count.stopped = self.count.stopped or why
        self.jobs.stop()
        self.stop.set()
        self.wake(len(self.waiting))

    def interrupt(self) -> None:
        """Ask nothing new; on the second call give up what is in flight."""
        if self.interrupted:
            self.workers.cancel()
        self.interrupted = True
        self.halt("interrupted")

    # -- one worker

    async def worker(self, wire: Wire) -> None:
        """Ask one request after the other."""
        while job := await self.jobs.take():
            if await self.allowed(job):
                await self.one(wire, job)

    async def allowed(self, job: Job) -> bool:
        """Wait until limits and budget have room for a job, and reserve it; false if the run was stopped meanwhile."""
        tokens = self._tokens(job.request)
        most = self.budget.most(self.endpoint, job.request)
        if (early := job.due - time.monotonic()) > 0:
            await self.rest(early)
        async with self.door:
            while not self.stop.is_set():
                delay = self.limits.delay(tokens)
                if delay is None:
                    await self.turn(None)
                elif delay > LONGEST_WAIT:
                    self.halt(f"{self.endpoint.provider} asks to wait {min(delay, 1e9):,.0f} s")
                elif delay:
                    await self.turn(min(delay, LONGEST_LOOK))  # it may be over sooner
                elif self.budget.reserve(most):
                    self.limits.sent(tokens)
                    return True
                elif self.budget.final():
                    self.halt(self.budget.gone())
                else:
                    await self.turn(LOOK_AGAIN)
        return False

    async def one(self, wire: Wire, job: Job) -> None:
        """Send a job once, keep what comes, and see what follows from it."""
        self.count.asked += job.attempt == 1
        self.count.retried += job.attempt > 1
        most, at = self.budget.most(self.endpoint, job.request), self.limits.clock()
        reply = None  # of one that is given up
        try:
            reply = await transport.send(wire, self.endpoint, job.request, self.timeout)
            self.keep_line(job.request.row(job.id, self.endpoint, job.attempt) | reply.columns)
        finally:
            self.limits.came(reply, at)
            self.budget.settle(most, reply)
            self.wake()
        self.follow(job, reply)

    def follow(self, job: Job, reply: Reply) -> None:
        """Count a reply, and have its request asked again if that may help."""
        usd, sofar = reply.columns.get("usd"), self.count.usd
        if usd is not None or reply.failure is None:
            self.count.usd = None if usd is None or sofar is None else sofar + usd
        if reply.failure is None:
            self.count.answered += 1
        elif reply.failure in FATAL:
            self.count.give_up(reply.failure)
            self.end(f"{self.endpoint.base_url}: {reply.failure}: {reply.columns.get('detail')}")
        elif self.may_pass(reply, job):
            pause = min(LONGEST_PAUSE, PAUSE * 2**job.attempt) * random.uniform(0.5, 1.0)
            self.jobs.again(job, max(pause, reply.wait or 0.0))  # Retry-After: 0 says nothing of who else asks
        else:  # the next run may ask again what may pass
            self.count.give_up(reply.failure)
        if why := self.starved(reply):
            self.halt(f"{self.endpoint.provider} {why}: {reply.columns.get('detail')}")

    def may_pass(self, reply: Reply, job: Job) -> bool:
        """Tell whether a failure is of the kind that passes, and its request has not been tried too often."""
        tries = REFUSALS if reply.failure == "rate_limit" else TRIES
        return reply.failure in PASSING and job.attempt < tries and (reply.wait or 0.0) <= LONGEST_WAIT

    def starved(self, reply: Reply) -> str:
        """Say how a server refuses everything, if it is for longer than a minute's allowance takes to come back."""
        if reply.failure != "rate_limit":
            self.refused = None
            return ""
        self.refused = self.refused or time.monotonic()
        if self.limits.in_flight:
            return ""
        if (reply.wait or 0.0) > LONGEST_WAIT and self.limits.pace.refuses:
            return f"asks to wait {min(reply.wait or 0.0, 1e9):,.0f} s"
        return f"refused all for {STARVED:.0f} s" if time.monotonic() - self.refused > STARVED else ""

    def end(self, why: str) -> None:
        """Stop where going on makes no sense: what is in flight has a moment to come back."""
        self.fatal = self.fatal or why
        self.halt()
        asyncio.get_running_loop().call_later(LAST_WORDS, self.workers.cancel)

    def _tokens(self, request: Request) -> float:
        """Return how many tokens a request and its answer will have, as far as one knows beforehand."""
        return sum(len(m["content"]) for m in request.messages) / 4 + self.limits.tokens_out

    # -- waiting

    async def rest(self, seconds: float) -> None:
        """Wait so long, or until a stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stop.wait(), seconds)

    async def turn(self, seconds: float | None) -> None:
        """Wait until a request has come back, or so long."""
        self.waiting.append(mine := asyncio.get_running_loop().create_future())
        with suppress(TimeoutError):
            await asyncio.wait_for(mine, seconds)

    def wake(self, most: int = 2) -> None:
        """Let some go on that wait for one to come back: two, as the number in flight may have grown by one."""
        while self.waiting and most:
            if not (first := self.waiting.popleft()).done():
                first.set_result(None)
                most -= 1

    # -- keeping

    def keep_line(self, columns: dict[str, Any]) -> None:
        """Have a reply kept with all that came in the same moment: a write each would cost more than the rest."""
        if self.journal.add(columns):
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Hand what came to the system; where it does not take it, the run ends."""
        try:
            self.journal.flush()
        except OSError as e:
            self.broken = e
            self.workers.cancel()

    async def keep(self) -> None:
        """Bring the journal to the disk and into the table, and tell how far the run is."""
        since, every = 0.0, ABSORB_FIRST
        while True:
            for _ in range(LEARN_OFTEN):
                await asyncio.sleep(SYNC_EVERY / LEARN_OFTEN)
                self.known.answered |= self.learn()
            since += SYNC_EVERY
            if self.journal.pending >= ABSORB_ROWS or (self.journal.pending and since >= every):
                await self.aside(self.absorb)
                since, every = 0.0, min(2 * every, ABSORB_EVERY)
            else:
                await self.aside(self.journal.sync)
            self.told()

    async def aside(self, work: Callable[[], object]) -> None:
        """Do what takes long on a thread beside the loop: always the same, as each thread hoards memory of its own."""
        await asyncio.get_running_loop().run_in_executor(self.beside, work)

    def absorb(self) -> None:
        """Bring the journal into the table, and have its rows read; one that a cancelled keeper began is waited for."""
        with self.absorbing:
            self.journal.absorb(self.absorbed)

    def told(self) -> None:
        """Tell of the count."""
        self._count_known()
        self.count.in_flight = self.limits.in_flight
        self.tell(self.count)

    def _count_known(self) -> None:
        if self.jobs.hopeless:
            self.count.give_up("would fail again", self.jobs.hopeless)
        self.count.cached += self.jobs.cached
        self.jobs.hopeless = self.jobs.cached = 0
