"""Rates at which one may ask: one that somebody has told (`Bucket`), and one that is found out (`Pace`)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

FEW = 3  # refusals, or other replies, that say something
REFUSED = 0.2  # share of what was sent in a second; fewer may be refused for reasons that are no rate
LOOKED, DOUBLED = 1.0, 8.0  # seconds over which a pace is measured, and in which it doubles
FARTHEST = 64  # times that it does: what is beyond is no limit
SLOWEST, BURST = 1 / 60, 0.05  # requests a second; seconds' worth that may go at once
LATEST = 4_000  # sends that are remembered: more than any server takes in the second that is looked at


class Bucket:
    """An allowance that fills at a steady rate up to its size; unlimited until it is told otherwise."""

    def __init__(self, per_minute: float | None, clock: Callable[[], float]) -> None:
        self.given, self.clock = per_minute is not None, clock
        self.size = self.level = per_minute or float("inf")
        self.rate = self.size / 60.0  # a second
        self.filled = clock()

    def delay(self, amount: float) -> float:
        """Return the seconds until this much may be taken; more than the whole size waits for a full one."""
        self._fill()
        lacking = min(amount, self.size) - self.level
        return lacking / self.rate if lacking > 0 else 0.0

    def take(self, amount: float) -> None:
        """Take this much, below nothing if it was more than there is; of more than the whole size just that."""
        self._fill()
        self.level -= min(amount, self.size)

    def told(self, limit: float, remaining: float, reset: float | None) -> None:
        """Learn what a server says is left of how much, and in how many seconds it will be whole again."""
        if self.given:
            return
        self._fill()
        known = self.size == limit
        self.size = limit
        self.rate = (limit - remaining) / reset if reset and remaining < limit else limit / 60.0
        # what is in flight is not in what the server counted: the lower of the two is right
        self.level = min(self.level if known else limit, remaining)

    def _fill(self) -> None:
        now = self.clock()
        self.level = (
            min(self.size, self.level + (now - self.filled) * self.rate) if self.size < float("inf") else self.size
        )
        self.filled = now


class Pace:
    """Requests a second that a server is found to take, where it refuses more; unlimited until it does."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.base, self.since = math.inf, clock()  # a second, and when that was found
        self.level, self.filled = 0.0, clock()
        self.sends: deque[float] = deque(maxlen=LATEST)
        self.refusals: deque[float] = deque(maxlen=LATEST)  # by the time that they were sent at
        self.in_a_row = 0  # refusals since anything was taken
        self.closed_until = 0.0  # by this clock

    @property
    def known(self) -> bool:
        """Tell whether it was found."""
        return self.base < math.inf

    def rate(self) -> float:
        """Return what may be sent a second now."""
        return self.base * 2.0 ** min(((self.clock() - self.since) / DOUBLED) ** 3, FARTHEST)

    def delay(self) -> float:
        """Return the seconds until one more may be sent."""
        self._fill()
        paced = max(0.0, 1 - self.level) / self.rate() if self.known else 0.0
        return max(paced, self.closed_until - self.filled)

    def close(self, seconds: float) -> None:
        """Have nothing sent for so long: the whole allowance is gone."""
        self.closed_until = max(self.closed_until, self.clock() + seconds)

    def sent(self) -> None:
        """Count a request as sent."""
        self._fill()
        self.level -= self.known
        self.sends.append(self.filled)

    def refused(self, at: float) -> None:
        """Count a refusal of what was sent then; where they are many, keep to what was taken in the second before."""
        self.refusals.append(at)
        self.in_a_row += 1
        self._fill()
        # answers come when they will: what was sent before the last one that was refused, and was not, was taken
        until = max(self.refusals)
        sent, refused = (sum(until - LOOKED < t <= until for t in times) for times in (self.sends, self.refusals))
        # a row of refusals says something only if what was sent between them was not taken either
        if refused < max(FEW, REFUSED * sent) and not (self.refuses and sent <= refused):
            return
        if sent > refused:
            self.base, self.since = (sent - refused) / LOOKED, self.filled
        elif self.filled - self.since > LOOKED:  # what is in flight knows nothing of it yet
            self.base, self.since = max(SLOWEST, (self.rate() if self.known else 1.0) / 2), self.filled
        self.level = min(self.level, 0.0)

    @property
    def refuses(self) -> bool:
        """Tell whether nothing is taken any more."""
        return self.in_a_row >= FEW

    def taken(self) -> None:
        """Count an answer."""
        self.in_a_row = 0

    def _fill(self) -> None:
        now, rate = self.clock(), self.rate()
        if self.known:
            self.level = min(max(1.0, rate * BURST), self.level + (now - self.filled) * rate)
        self.filled = now
