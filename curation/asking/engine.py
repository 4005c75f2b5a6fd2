"""The engine: asks several models' requests side by side, whatever stops it; a stage gets back a count.

A stage hands it requests; limits, retries, budgets and files are no concern of a stage.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from curation import interrupts
from curation.asking import transport
from curation.asking.asked import Asked
from curation.asking.requests import Endpoint
from curation.asking.work import Work
from curation.errors import BadInput, EndpointError

T = TypeVar("T")
SPARE_FILES = 200  # beside the connections: the store's own, and those of libraries


def ask_all(works: list[Work]) -> list[Asked]:
    """Ask what several works have to ask, side by side; each reply is in its journal before it is counted.

    Returns:
        The counts, in the order of the works. Ctrl-C and SIGTERM let what is in flight finish; a second gives it up.

    Raises:
        EndpointError: asking on makes no sense: key refused, unknown model, quota gone. What came is kept.
        BadInput: a budget that could not be kept, as a price is unknown; more connections than this process may open.
    """
    for work in works:
        work.budget.check(work.endpoint)
    _check_files(works)

    def interrupt() -> None:
        for work in works:
            work.interrupt()

    try:
        run_async(_together(works, interrupt), interrupt)
    finally:
        for work in works:
            work.absorb()
    if fatal := [work.fatal for work in works if work.fatal]:
        raise EndpointError(fatal[0])
    return [work.total() for work in works]


def _check_files(works: list[Work]) -> None:
    """Have the system let this process open a file for each connection.

    Raises:
        BadInput: it does not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = sum(work.concurrency for work in works) + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            most = (hard - SPARE_FILES) // len(works)  # the option is for each of them
            beside = f"and needs {SPARE_FILES} beside the connections: raise the limit"
            so = f"so {most} at most" if most > 0 else beside
            raise BadInput(f"--concurrency: this process may open {hard} files (ulimit -Hn), {so}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def find_provider(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with the provider that its server says it is."""

    async def look() -> Endpoint:
        async with transport.open_wire(endpoint) as wire:
            return await transport.identify(wire, endpoint)

    return run_async(look())


def run_async(work: Coroutine[Any, Any, T], interrupt: Callable[[], object] | None = None) -> T:
    """Run a coroutine to its end, also inside a running event loop (a notebook), on a thread of its own there.

    `interrupt` is called there in the place of a KeyboardInterrupt, as often as one comes; without it that is raised
    when the coroutine has ended.
    """
    if _in_a_loop():
        return _beside(work, interrupt)
    with interrupts.held_back():
        return asyncio.run(_open_to_interrupts(work))


def _beside(work: Coroutine[Any, Any, T], interrupt: Callable[[], object] | None) -> T:
    began: Future[asyncio.AbstractEventLoop] = Future()

    async def told() -> T:
        began.set_result(asyncio.get_running_loop())
        return await work

    with ThreadPoolExecutor(1) as other:
        done = other.submit(asyncio.run, told())
        while True:
            try:
                return done.result()
            except KeyboardInterrupt:
                if interrupt is None or done.done():
                    raise
                began.result().call_soon_threadsafe(interrupt)


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _open_to_interrupts(work: Coroutine[Any, Any, T]) -> T:
    with interrupts.let_through():
        return await work


async def _together(works: list[Work], interrupt: Callable[[], None]) -> None:
    async def one(work: Work) -> None:
        fine = False
        try:
            await work.run()
            fine = not work.fatal
        finally:
            for other in () if fine else works:  # what they have in flight is waited for
                other.halt()

    with interrupts.instead(interrupt):
        ends = await asyncio.gather(*(one(work) for work in works), return_exceptions=True)
    for end in ends:
        if end:
            raise end
