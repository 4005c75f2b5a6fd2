"""How fast one model may be asked: what its server says, what the user says, or what is learned from how it takes it.

Two things are held: a rate and a number in flight. The rate, in requests and tokens a minute, comes from the user or
from the server's `x-ratelimit-*` headers; where it refuses what these allow, or has none, the rate is what it was found
to take in a second, and grows again ever faster until it refuses once more (in the manner of CUBIC, RFC 9438: it stays
long near what was right just now, and is soon far from what was not). The number in flight is the user's, until the
server shows that it is too much: one in twenty of its latest replies is an overload or a time-out, or answers take ever
longer. Then it is halved, at most once in the time of an answer, and grows again by one with each round of answers
(additive increase, multiplicative decrease, as TCP does it: Chiu and Jain, 1989). Where the cut has made no answer
quicker there is no queue of ours, and the server is measured anew.

A refusal says nothing of the number in flight: where answers take long, many must be in flight to use the rate, and a
number that grows by one with each round of them takes minutes to come back.
"""

from __future__ import annotations

import math
import re
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from curation.asking.rates import FEW, Bucket, Pace
from curation.asking.replies import SILENT, Reply

CUT, LEAST = 0.5, 1.0  # what is left of the number in flight after a cut; never less than one
CROWDED = 4.0  # an answer's token takes so many times as long as at best: the server queues what it is sent
QUICKER = 0.75  # of what a token took before a cut, it takes at most after it, where the queue was ours
ENOUGH = 20  # answers before a median says something
FIRST_CLOSED, LONGEST_CLOSED = 1.0, 60.0  # seconds to send nothing, doubled each time, where one at a time is too much
OVERLOADED = {503, 529}  # statuses by which a server says that it is sent too much; other errors are its own affair
STRAINED = 0.05  # share of the latest replies that show it, and at least a few
MOST_WRITTEN = 1_000_000  # tokens of an answer; a server that counts more has miscounted
LONGEST_RESET = 86_400.0  # seconds; what is longer is no span but a time of day, as some servers write it
SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
RATES = ("requests", "tokens")
GONE = 12  # requests that fail, and none that does not: it is the server, and not what it is asked


class Given(NamedTuple):
    """Limits that the user gives in synthpert.toml, a minute; they go before what the server says."""

    requests: float | None = None
    tokens: float | None = None


class Limits:
    """The limits of one provider and model while a run lasts."""

    def __init__(self, most: int, given: Given = Given(), clock: Callable[[], float] = time.monotonic) -> None:  # noqa: B008
        self.most, self.clock = most, clock
        self.window = float(most)  # requests that may be in flight
        self.in_flight = 0
        self.buckets = {name: Bucket(getattr(given, name), clock) for name in RATES}
        self.closing = 0.0  # seconds that nothing was sent last, as one request at a time was too fast
        self.shut_at, self.shut_until = -math.inf, 0.0  # by this clock
        self.failing: set[str] = set()  # requests that the server said nothing of use to since it last did to any
        self.cut_at = -float("inf")
        self.pace = Pace(clock)
        self.slowness: deque[float] = deque(maxlen=64)  # seconds a token of the latest answers
        self.strain: deque[bool] = deque(maxlen=64)  # which of the latest replies show that it is too much at once
        self.best = float("inf")  # seconds a token, a median
        self.before = float("inf")  # the same as it was before the latest cut
        self.seconds = self.tokens_out = 0.0  # of an answer, a running mean

    def share(self, other: Limits) -> None:
        """Hold the rates together with another's, as two stages that ask one model must."""
        self.buckets, self.pace = other.buckets, other.pace

    def delay(self, tokens: float) -> float | None:
        """Return the seconds until a request of so many tokens may be sent; None: when another has come back."""
        if self.in_flight >= int(self.window):
            return None
        rates = self.pace.delay(), self.buckets["requests"].delay(1), self.buckets["tokens"].delay(tokens)
        return max(*rates, self.shut_until - self.clock())

    @property
    def gone(self) -> bool:
        """Tell whether the server answers nothing any more: it is asked ever more seldom then, one request a time."""
        return len(self.failing) >= GONE

    def sent(self, tokens: float) -> None:
        """Count a request as sent."""
        self.in_flight += 1
        if self.gone:
            self.shut_until = self.clock() + self.closing
        self.pace.sent()
        self.buckets["requests"].take(1)
        self.buckets["tokens"].take(tokens)

    def came(self, reply: Reply | None, at: float, request_id: str = "") -> None:
        """Learn from what came back, whatever it is; without a reply it was given up.

        `at` is when it was sent, by this clock.
        """
        self.in_flight -= 1
        if reply is None:
            return
        said = {name: self._told(name, reply.headers) for name in RATES}
        refused = reply.failure == "rate_limit"
        gone = [name for name, left in said.items() if left == 0]
        if refused and gone:
            self._close(gone, reply)
        if refused:
            self.pace.refused(at)
        self._listen(reply, at, request_id)
        over = reply.failure == "timeout" or reply.columns.get("http_status") in OVERLOADED
        self.strain.append(over)
        if reply.failure is None:
            self.pace.taken()
            self._answered(reply, at)
        if self._strained() or self._crowded():
            self._cut()

    def _listen(self, reply: Reply, at: float, request_id: str) -> None:
        """Note what fails in a row, and stay shut for longer with each that was sent meanwhile."""
        if reply.failure in SILENT:
            self.failing.add(request_id)
            if self.gone and at > self.shut_at:  # what was sent before says nothing new
                self._shut()
        elif reply.failure != "rate_limit":
            self.failing.clear()
            self.closing = self.shut_until = 0.0

    def _shut(self) -> None:
        self.closing = min(LONGEST_CLOSED, 2 * self.closing or FIRST_CLOSED)
        self.shut_at = self.clock()
        self.shut_until = self.shut_at + self.closing

    def _told(self, name: str, headers: Mapping[str, str]) -> float | None:
        try:
            limit, left = (float(headers[f"x-ratelimit-{what}-{name}"]) for what in ("limit", "remaining"))
        except (KeyError, ValueError):
            return None
        if limit >= 1 and math.isfinite(limit) and math.isfinite(left):
            self.buckets[name].told(limit, left, _reset(name, headers))
        return left

    def _close(self, gone: list[str], reply: Reply) -> None:
        """Wait with all requests: the server says that nothing is left for any of them."""
        resets = [_reset(name, reply.headers) for name in gone]
        self.pace.close(
            reply.wait if reply.wait is not None else max((s for s in resets if s is not None), default=1.0)
        )

    def _answered(self, reply: Reply, at: float) -> None:
        seconds, tokens = reply.columns["seconds"], reply.columns.get("tokens_out") or 0
        self.seconds += (seconds - self.seconds) * (0.1 if self.seconds else 1.0)
        if tokens <= MOST_WRITTEN:
            self.tokens_out += (tokens - self.tokens_out) * (0.1 if self.tokens_out else 1.0)
        if at > self.cut_at:  # what was in flight knows nothing of the cut yet
            self.slowness.append(seconds / max(tokens, 1))
        self.window = min(self.most, self.window + 1 / self.window)

    def _strained(self) -> bool:
        return sum(self.strain) >= max(FEW, STRAINED * len(self.strain))

    def _crowded(self) -> bool:
        """Tell whether answers take several times as long as at best, a token: they wait in the server's queue.

        Where a cut has not made them quicker the queue is not ours, or there is none: what it takes now is the best.
        """
        if len(self.slowness) < ENOUGH:
            return False
        now = statistics.median(self.slowness)
        self.best = now if now > QUICKER * self.before else min(self.best, now)
        crowded = now > CROWDED * self.best
        self.before = self.before if crowded else float("inf")
        return crowded

    def _cut(self) -> None:
        """Cut the number in flight, once in the time of an answer: what is in flight knows nothing of the cut yet."""
        now = self.clock()
        if self.window <= LEAST and not self.gone:  # one at a time is still too fast
            self._shut()
        if now - self.cut_at > max(self.seconds, 0.1):
            self.cut_at = now
            latest = list(self.slowness)[-ENOUGH:]  # those before may be of another time
            self.before = statistics.median(latest) if len(latest) == ENOUGH else float("inf")
            self.window = max(LEAST, min(self.window, self.in_flight + 1) * CUT)
        self.slowness.clear()
        self.strain.clear()


def _reset(name: str, headers: Mapping[str, str]) -> float | None:
    """Return in how many seconds an allowance is whole again, as far as a server says so."""
    seconds = _span(headers.get(f"x-ratelimit-reset-{name}"))
    return seconds if seconds is None or seconds <= LONGEST_RESET else None


def _span(text: str | None) -> float | None:
    """Return seconds of a duration such as 1s, 6m0s, 120ms, or a plain number of seconds."""
    if not text:
        return None
    try:
        found = SPAN.findall(text)
        seconds = sum(float(n) * SECONDS[unit] for n, unit in found) if found else max(0.0, float(text))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None
