"""The engine: asks many requests at once, tries again what may pass, and keeps every reply.

A stage hands it requests and gets back a count; limits, retries and files are no concern of a stage.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from curation import interrupts
from curation.asking import transport
from curation.asking.journal import Journal
from curation.asking.requests import Endpoint, Request
from curation.errors import EndpointError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

T = TypeVar("T")
TRIES = 6  # of one request within a run
PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds; doubled each time, where the server does not say how long
LONGEST_WAIT = 600.0  # seconds that a server may ask us to wait within a run
SYNC_EVERY, ABSORB_EVERY, ABSORB_ROWS = 1.0, 15.0, 1000  # seconds, seconds, rows


@dataclass
class Asked:
    """What became of the requests of one run."""

    asked: int = 0  # sent, whatever came of it
    answered: int = 0
    cached: int = 0  # answered by an earlier run
    failed: int = 0  # given up, or known to fail again
    usd: float | None = 0.0  # None as soon as one price is unknown
    left: int = 0  # not answered, as the run stopped
    stopped: str | None = None  # why it stopped before the end

    def json(self) -> dict[str, Any]:
        """Return the fields for --json."""
        return asdict(self)


class Known:
    """What earlier runs know of requests: which are answered, and which would fail again."""

    def __init__(self, answered: Collection[str] = (), hopeless: Collection[str] = ()) -> None:
        self.answered, self.hopeless = set(answered), set(hopeless)


def ask(
    requests: Iterable[Request],
    endpoint: Endpoint,
    journal: Journal,
    *,
    known: Known,
    concurrency: int = 64,
    timeout: float = 600.0,
    learn: Callable[[], set[str]] = set,
    tell: Callable[[Asked], None] = lambda asked: None,
) -> Asked:
    """Ask every request that is not known yet; each reply is in the journal before it is counted.

    Args:
        requests: the questions, taken one by one as there is room for them.
        endpoint: the model; its provider is settled already (see `find_provider`).
        journal: where replies go.
        known: requests that are not asked; those asked here are added.
        concurrency: requests in flight.
        timeout: seconds for one try.
        learn: called each second; requests that were answered elsewhere meanwhile.
        tell: called now and then with the count so far.

    Returns:
        The count. Ctrl-C lets what is in flight finish; a second one gives it up.

    Raises:
        EndpointError: asking on makes no sense: key refused, unknown model, quota gone. What came is kept.
    """
    work = _Work(iter(requests), endpoint, journal, known, learn, tell)
    try:
        run_async(work.run(concurrency, timeout))
    finally:
        journal.absorb()
    if work.fatal:
        raise EndpointError(work.fatal)
    return work.total()


def find_provider(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with the provider that its server says it is."""

    async def look() -> Endpoint:
        async with transport.client(endpoint, 20) as sdk:
            return await transport.identify(sdk, endpoint)

    return run_async(look())


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also inside a running event loop (a notebook), on a thread of its own there."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with interrupts.held_back():
            return asyncio.run(_open_to_interrupts(work))
    with ThreadPoolExecutor(1) as other:
        return other.submit(asyncio.run, work).result()


async def _open_to_interrupts(work: Coroutine[Any, Any, T]) -> T:
    with interrupts.let_through():
        return await work


class _Work:
    """One call of `ask` while it runs."""

    def __init__(
        self,
        requests: Iterator[Request],
        endpoint: Endpoint,
        journal: Journal,
        known: Known,
        learn: Callable[[], set[str]],
        tell: Callable[[Asked], None],
    ) -> None:
        self.requests, self.endpoint, self.journal, self.known = requests, endpoint, journal, known
        self.learn, self.tell = learn, tell
        self.count = Asked()
        self.taken = 0
        self.fatal: str | None = None
        self.stop = asyncio.Event()
        self.workers: asyncio.Future[list[None]]

    async def run(self, concurrency: int, timeout: float) -> None:
        keeper = asyncio.create_task(self.keep())
        with interrupts.instead(self.interrupt):
            async with transport.client(self.endpoint, timeout) as sdk:
                self.workers = asyncio.gather(*(self.worker(sdk) for _ in range(concurrency)))
                ends: list[asyncio.Future[Any]] = [self.workers, keeper]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                self.workers.cancel()  # of effect only if the keeper ended, which it does by an error alone
                for ended in ends:
                    if ended.done() and not ended.cancelled():
                        ended.result()
                keeper.cancel()
        self.tell(self.count)

    async def worker(self, sdk: AsyncOpenAI) -> None:
        while not self.stop.is_set() and (request := next(self.requests, None)):
            request_id = request.id(self.endpoint)
            if not self.settled(request_id):
                self.known.answered.add(request_id)  # no other worker asks it
                await self.one(sdk, request, request_id)

    def settled(self, request_id: str) -> bool:
        """Count a request as taken; whether it need not be asked."""
        self.taken += 1
        cached, hopeless = request_id in self.known.answered, request_id in self.known.hopeless
        self.count.cached += cached
        self.count.failed += hopeless and not cached
        return cached or hopeless

    def total(self) -> Asked:
        """Return the count with what is left, which a stopped run has not even looked at."""
        for request in self.requests:
            self.settled(request.id(self.endpoint))
        self.count.left = self.taken - self.count.cached - self.count.answered - self.count.failed
        return self.count

    async def one(self, sdk: AsyncOpenAI, request: Request, request_id: str) -> None:
        self.count.asked += 1
        for attempt in range(1, TRIES + 1):
            reply = await transport.send(sdk, self.endpoint, request)
            self.keep_reply(request, request_id, reply, attempt)
            if reply.failure is None:
                self.count.answered += 1
                return
            if reply.failure in transport.FATAL:
                self.fatal = f"{self.endpoint.base_url}: {reply.failure}: {reply.columns.get('detail')}"
                self.stop.set()
            later = reply.wait is not None and reply.wait > LONGEST_WAIT  # the next run may ask by then
            if reply.failure not in transport.PASSING or attempt == TRIES or later:
                self.count.failed += 1
                return
            if await self.pause(reply, attempt):
                return

    async def pause(self, reply: transport.Reply, attempt: int) -> bool:
        """Wait before the next try; true if the run was stopped meanwhile."""
        seconds = reply.wait
        if seconds is None:
            seconds = min(LONGEST_PAUSE, PAUSE * 2**attempt) * random.uniform(0.5, 1.0)
        try:
            await asyncio.wait_for(self.stop.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def keep_reply(self, request: Request, request_id: str, reply: transport.Reply, attempt: int) -> None:
        self.journal.write(request.row(request_id, self.endpoint, attempt) | reply.columns)
        if reply.failure is None:
            price, sofar = reply.columns.get("usd"), self.count.usd
            self.count.usd = None if price is None or sofar is None else sofar + price

    async def keep(self) -> None:
        """Bring the journal to the disk and into the table, and tell how far the run is."""
        since = 0.0
        while True:
            await asyncio.sleep(SYNC_EVERY)
            since += SYNC_EVERY
            if self.journal.pending >= ABSORB_ROWS or (self.journal.pending and since >= ABSORB_EVERY):
                await asyncio.to_thread(self.journal.absorb)
                since = 0.0
            else:
                await asyncio.to_thread(self.journal.sync)
            self.known.answered |= self.learn()
            self.tell(self.count)

    def interrupt(self) -> None:
        """Stop taking requests; on the second call give up those in flight."""
        if self.stop.is_set():
            self.workers.cancel()
        self.count.stopped = "interrupted"
        self.stop.set()
