"""What is to be asked next: new requests in their order, and those that are tried again when their time has come."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Collection, Iterable, Iterator
from itertools import count
from typing import NamedTuple

from curation.asking.requests import Endpoint, Request

LOOK_AGAIN = 0.2  # seconds, where requests are still being made by another stage


class Known:
    """What earlier runs know of requests: which are answered, and which would fail again."""

    def __init__(self, answered: Collection[str] = (), hopeless: Collection[str] = ()) -> None:
        self.answered, self.hopeless = set(answered), set(hopeless)


class Job(NamedTuple):
    """A request that is to be asked, for the how-many-th time in this run, and not before when."""

    request: Request
    id: str
    attempt: int = 1
    due: float = 0.0  # by the monotonic clock


class Jobs:
    """The requests of one run that are not known yet; each is handed out once, and again after `again`.

    A request that waits holds no place: others go before it until its time has come.
    """

    def __init__(self, requests: Iterable[Request | None], endpoint: Endpoint, known: Known) -> None:
        self.endpoint, self.known = endpoint, known
        self.taken = self.cached = self.hopeless = 0
        self._fresh = self._unknown(iter(requests))
        self._waiting: list[tuple[float, int, Job]] = []
        self._number = count()
        self._turn = asyncio.Lock()
        self._stopped = False

    async def take(self) -> Job | None:
        """Return the next job, due or not; None if there is none but for those in flight, or it was stopped."""
        async with self._turn:
            while not self._stopped:
                if self._waiting and self._waiting[0][0] <= time.monotonic():
                    return heapq.heappop(self._waiting)[2]
                try:
                    if job := next(self._fresh):
                        return job
                except StopIteration:
                    # who hands a job back comes to take one: nobody else need wait for it
                    return heapq.heappop(self._waiting)[2] if self._waiting else None
                await asyncio.sleep(LOOK_AGAIN)
        return None

    def again(self, job: Job, seconds: float) -> None:
        """Have a job asked once more, in so many seconds."""
        job = job._replace(attempt=job.attempt + 1, due=time.monotonic() + seconds)
        heapq.heappush(self._waiting, (job.due, next(self._number), job))

    def stop(self) -> None:
        """Hand out no more."""
        self._stopped = True

    def count_rest(self) -> None:
        """Count what a stopped run has not even looked at."""
        for _ in self._fresh:
            pass

    def _unknown(self, requests: Iterator[Request | None]) -> Iterator[Job | None]:
        """Yield a job for each request that is not known, and None where another stage has yet to make one."""
        for request in requests:
            if request is None:
                if self._stopped:
                    return
                yield None
                continue
            self.taken += 1
            request_id = request.id(self.endpoint)
            if request_id in self.known.answered:
                self.cached += 1
            elif request_id in self.known.hopeless:
                self.hopeless += 1
            else:
                if not self._stopped:  # what was not looked at may be looked at again
                    self.known.answered.add(request_id)  # nobody else asks it
                yield Job(request, request_id)
