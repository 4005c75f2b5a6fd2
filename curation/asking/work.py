"""One model's requests while they are asked: taken one by one, tried again where that may help, every reply kept."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import pyarrow as pa

from curation.asking import transport
from curation.asking.asked import Asked
from curation.asking.budget import Budget
from curation.asking.jobs import Job, Jobs, Known
from curation.asking.journal import Journal
from curation.asking.keeper import Keeper
from curation.asking.limits import Given, Limits
from curation.asking.replies import FATAL, PASSING, Reply
from curation.asking.requests import Endpoint, Request
from curation.asking.transport import Wire

TRIES, REFUSALS = 6, 20  # of one request within a run; a 429 says nothing of the request, only of the moment
STARVED = 150.0  # seconds without an answer: what a server allows a minute is not what is missing
ALIKE, FORBIDDEN = 20, 3  # refusals in a row that are not of one prompt: 400, 403
PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds; doubled each time, where the server does not say how long
LONGEST_WAIT = 600.0  # seconds that a server may ask us to wait within a run
LAST_WORDS = 0.5  # seconds for what is in flight, where going on makes no sense, or twice the time of an answer
LOOK_AGAIN, LONGEST_LOOK = 1.0, 5.0  # seconds, where another model's requests hold the budget, and for a rate


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
        self.endpoint, self.known, self.timeout = endpoint, known, timeout
        self.learn, self.ended, self.tell = learn, ended, tell
        self.count = Asked()
        self.jobs, self.concurrency = Jobs(requests, endpoint, known), concurrency
        self.limits, self.budget = Limits(concurrency, given), budget or Budget()
        self.keeper = Keeper(journal, absorbed, self.give_up)
        self.stop, self.moved = asyncio.Event(), asyncio.Event()
        self.door = asyncio.Lock()  # one waits for room at a time: a thousand that look each moment take all the time
        self.workers: asyncio.Future[list[None]]
        self.fatal: str | None = None  # why asking on makes no sense
        self.silent: float | None = None  # since when it answers nothing
        self.refused = 0  # requests in a row that it will not have
        self.elsewhere: set[str] = set()  # requests that were answered elsewhere since the run began
        self.interrupted = False

    async def run(self) -> None:
        """Ask until all is answered, given up, or a stop."""
        keeper = asyncio.create_task(self.keeper.run(self.look_about, self.told))
        keeper.add_done_callback(lambda _: self.halt())  # by an error: what is in flight is paid, and still kept
        async with transport.open_wire(self.endpoint) as wire:
            self.workers = asyncio.gather(*(self.worker(wire) for _ in range(self.concurrency)))
            await asyncio.wait([self.workers])
        if not keeper.cancel():
            keeper.result()
        if self.keeper.broken:
            raise self.keeper.broken
        with suppress(asyncio.CancelledError):  # those that were in flight and are given up
            self.workers.result()
        self.told()
        await self.keeper.aside(self.absorb)
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
        self.moved.set()

    def give_up(self) -> None:
        """Give up what is in flight."""
        self.workers.cancel()

    def interrupt(self) -> None:
        """Ask nothing new; on the second call give up what is in flight."""
        if self.interrupted:
            self.give_up()
        self.interrupted = True
        self.halt("interrupted")

    # -- one worker

    async def worker(self, wire: Wire) -> None:
        """Ask one request after the other."""
        while job := await self.jobs.take():
            if (most := await self.room(job)) is not None:
                await self.one(wire, job, most)

    async def room(self, job: Job) -> float | None:
        """Wait until limits and budget have room for a job, and reserve it.

        Returns:
            The dollars that are set aside for it; None if the run was stopped meanwhile, or another has the answer.
        """
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
                    self.halt(f"the limits of {self.endpoint.provider} leave no room for {min(delay, 1e9):,.0f} s")
                elif delay:
                    await self.turn(min(delay, LONGEST_LOOK))  # it may be over sooner
                elif job.id in self.elsewhere:
                    self.jobs.cached += 1
                    return None
                elif self.budget.reserve(most):
                    self.limits.sent(tokens)
                    return most
                elif self.budget.final():
                    self.halt(self.budget.gone())
                else:
                    await self.turn(LOOK_AGAIN)
        return None

    async def one(self, wire: Wire, job: Job, most: float) -> None:
        """Send a job once, keep what comes, and see what follows from it; `most` is what is set aside for it."""
        self.count.asked += job.attempt == 1
        self.count.retried += job.attempt > 1
        reply, at = None, self.limits.clock()  # none of one that is given up
        try:
            reply = await transport.send(wire, self.endpoint, job.request, self.timeout)
            self.keeper.add(job.request.row(job.id, self.endpoint, job.attempt) | reply.columns)
        finally:
            self.limits.came(reply, at, job.id)
            self.budget.settle(most, reply)
            self.moved.set()
        self.follow(job, reply)

    def follow(self, job: Job, reply: Reply) -> None:
        """Count a reply, and have its request asked again if that may help."""
        self.count.gone = reply.failure if self.limits.gone else None
        usd, sofar = reply.columns.get("usd"), self.count.usd
        if usd is not None or reply.failure is None:
            self.count.usd = None if usd is None or sofar is None else sofar + usd
        if reply.failure is None:
            self.count.answered += 1
        elif self.may_pass(reply, job):
            pause = min(LONGEST_PAUSE, PAUSE * 2**job.attempt) * random.uniform(0.5, 1.0)
            self.jobs.again(job, max(pause, reply.wait or 0.0))  # Retry-After: 0 says nothing of who else asks
        else:  # the next run may ask again what may pass
            self.count.give_up(reply.failure)
        if self.senseless(reply):
            self.end(f"{self.endpoint.base_url}: {reply.failure}: {reply.columns.get('detail')}")
        elif why := self.starved(reply):
            self.halt(f"{self.endpoint.provider} {why}: {reply.columns.get('detail')}")

    def may_pass(self, reply: Reply, job: Job) -> bool:
        """Tell whether a failure is of the kind that passes, and says nothing of its request as far as one knows."""
        tries = REFUSALS if reply.failure == "rate_limit" else TRIES
        few = job.attempt < tries or self.limits.gone
        return reply.failure in PASSING and few and (reply.wait or 0.0) <= LONGEST_WAIT

    def senseless(self, reply: Reply) -> bool:
        """Tell whether a refusal holds for every request: by its kind, or as many in a row are refused.

        A single 403 may be of what one prompt says; and a parameter that the model does not take is a 400 for all.
        """
        if reply.failure is None or reply.failure in PASSING:
            self.refused = 0
            return False
        self.refused += 1
        if reply.columns.get("http_status") == 403:
            return self.refused >= FORBIDDEN
        return reply.failure in FATAL or (reply.failure == "bad_request" and self.refused >= ALIKE)

    def starved(self, reply: Reply) -> str:
        """Say how a server answers nothing, if it is for longer than a minute's allowance takes to come back."""
        if reply.failure not in PASSING:
            self.silent = None
            return ""
        self.silent = self.silent or time.monotonic()
        if (reply.wait or 0.0) > LONGEST_WAIT and self.limits.pace.refuses:
            return f"asks to wait {min(reply.wait or 0.0, 1e9):,.0f} s"
        if self.limits.in_flight or time.monotonic() - self.silent <= STARVED:
            return ""
        if reply.failure == "rate_limit":
            return f"refused all for {STARVED:.0f} s"
        return f"has answered nothing for {STARVED:.0f} s" if self.limits.gone else ""

    def end(self, why: str) -> None:
        """Stop where going on makes no sense: what is in flight has a moment to come back."""
        self.fatal = self.fatal or why
        self.halt()
        asyncio.get_running_loop().call_later(max(LAST_WORDS, 2 * self.limits.seconds), self.give_up)

    def _tokens(self, request: Request) -> float:
        """Return how many tokens a request and its answer will have, as far as one knows beforehand."""
        return sum(len(m["content"]) for m in request.messages) / 4 + self.limits.tokens_out

    # -- waiting

    async def rest(self, seconds: float) -> None:
        """Wait so long, or until a stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stop.wait(), seconds)

    async def turn(self, seconds: float | None) -> None:
        """Wait until a request has come back, or a stop, or so long."""
        self.moved.clear()  # nothing was awaited since the limits were looked at
        with suppress(TimeoutError):
            await asyncio.wait_for(self.moved.wait(), seconds)

    # -- telling

    def absorb(self) -> None:
        """Bring what was kept into the table."""
        self.keeper.absorb()

    def look_about(self) -> None:
        """Learn what other runs were answered."""
        learnt = self.learn()
        self.known.answered |= learnt
        self.elsewhere |= learnt

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
