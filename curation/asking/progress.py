"""How far a run is, on stderr: in a terminal a block that is redrawn, elsewhere a plain line every ten seconds."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

from curation.asking.asked import Asked
from curation.terminal import Block, can_redraw

EVERY = 10.0  # seconds between two plain lines
PACE = 20  # counts, one a second, that the rate is that of
INDENT = 10  # columns, those of the name of a stage


class Kind(NamedTuple):
    """What a run's answers became: how many of one kind, and whether it is of those that one wants."""

    what: str
    kept: bool
    n: int


class Part:
    """One stage of a run: its counts, and what its answers became.

    Args:
        name: of the stage.
        total: requests, as far as one knows.
        kept: what is said of the answers that one wants, such as accepted.
        at_most: the total is a bound: another stage has yet to make the requests.
    """

    def __init__(self, name: str, total: int, kept: str = "", *, at_most: bool = False) -> None:
        self.name, self.total, self.kept, self.at_most = name, total, kept, at_most
        self.count = Asked()
        self.tally: list[Kind] = []
        self.began = time.monotonic()
        self.pace = deque([(self.began, 0)], maxlen=PACE)
        self.ended = False

    def told(self, count: Asked) -> None:
        """Take in a count, given about once a second."""
        self.count = count
        self.pace.append((time.monotonic(), count.answered))

    def end(self, *, whole: bool) -> None:
        """Take in that nothing more comes; `whole`: nothing went wrong."""
        self.ended = True
        self.pace = deque([(self.began, 0), self.pace[-1]])
        if whole and not self.count.stopped:
            self.total, self.at_most = self.done, False  # there were no more

    @property
    def done(self) -> int:
        """How many need not be asked any more in this run."""
        return self.count.answered + self.count.cached + self.count.failed

    @property
    def rate(self) -> float:
        """Answers a second, of late; when it has ended, on the whole."""
        (since, before), (now, after) = self.pace[0], self.pace[-1]
        return (after - before) / (now - since) if now > since else 0.0

    def lines(self) -> list[str]:
        """Return what the block says of it, the name in the first line."""
        said = (self._far(), self._sent(), self._cost(), self._became())
        return [f"{name:<{INDENT}}{text}" for name, text in zip((self.name, "", "", ""), said, strict=True) if text]

    def line(self) -> str:
        """Return all of it in one line."""
        return f"{self.name}: " + "  ".join(filter(None, (self._far(), self._sent(), self._cost(), self._became())))

    def _far(self) -> str:
        bound = f"up to {self.total:,}" if self.at_most else f"{self.total:,}"
        share = f" ({100 * self.done // self.total}%)" if self.total and not self.at_most else ""
        return f"{self.done:,} of {bound}{share}  {self.rate:.1f}/s  {self._time()}"

    def _time(self) -> str:
        if self.ended:
            return f"in {_span(self.pace[-1][0] - self.began)}"
        if self.count.stopped:
            again = ": Ctrl-C again gives up what is in flight" if self.count.stopped == "interrupted" else ""
            return f"stopping{again}"
        if self.done >= self.total:
            return "done"
        if self.count.gone:
            return f"no answer any more ({self.count.gone}): asked now and then"
        return f"{_span((self.total - self.done) / self.rate)} left" if self.rate else "time left unknown"

    def _sent(self) -> str:
        count = self.count
        why = ", ".join(f"{reason} {n:,}" for reason, n in sorted(count.failures.items(), key=lambda r: -r[1]))
        said = {
            f"{count.in_flight:,} in flight": not self.ended,
            f"{count.cached:,} known before": count.cached,
            f"{count.retried:,} tried again": count.retried,
            f"{count.failed:,} failed: {why}": count.failed,
        }
        return "  ".join(text for text, known in said.items() if known)

    def _cost(self) -> str:
        usd = self.count.usd
        if usd is None:
            return "cost unknown"
        if not usd:
            return ""
        if self.ended or not self.count.answered:
            return _dollars(usd)
        expected = usd * (1 + (self.total - self.done) / self.count.answered)
        return f"{_dollars(usd)} of {'up to' if self.at_most else 'about'} {_dollars(expected)}"

    def _became(self) -> str:
        if not self.tally:
            return ""
        kept, others = ([k for k in self.tally if k.kept is good] for good in (True, False))
        told = f"{self.kept} {sum(k.n for k in kept):,}" + (f": {_listed(kept)}" if kept else "")
        return told + (f"; {_listed(others)}" if others else "")


class View:
    """The parts of a run, shown on stderr while the block lasts; `quiet` shows nothing."""

    def __init__(self, parts: list[Part], *, quiet: bool = False) -> None:
        self.parts, self.out, self.quiet = parts, sys.stderr, quiet
        self.block = Block(self.out) if can_redraw(self.out) else None
        self.printed = time.monotonic()
        self.printed_any = False

    def __enter__(self) -> View:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave the last state standing, after what went wrong as well."""
        for part in self.parts:
            part.end(whole=kind is None)
        if self.block or self.printed_any:
            self.show()

    def teller(self, part: Part) -> Callable[[Asked], None]:
        """Return what takes the counts of a part."""

        def tell(count: Asked) -> None:
            part.told(count)
            if self.block or time.monotonic() - self.printed >= EVERY:
                self.show()

        return tell

    def show(self) -> None:
        """Show how far all parts are."""
        if self.quiet:
            return
        self.printed, self.printed_any = time.monotonic(), True
        try:
            if self.block:
                self.block.draw([line for part in self.parts for line in part.lines()])
            else:
                print(*(part.line() for part in self.parts), sep="\n", file=self.out, flush=True)
        except OSError:  # nobody looks any more, and the run has no need of it
            self.quiet = True


def tally(rows: list[dict[str, Any]]) -> list[Kind]:
    """Return the rows of a tally_*.sql as kinds."""
    return [Kind(**row) for row in rows]


def _listed(kinds: list[Kind]) -> str:
    return ", ".join(f"{k.what} {k.n:,}" for k in kinds)


def _dollars(usd: float) -> str:
    return f"${usd:,.2f}" if usd >= 1 else f"${usd:.4f}"


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m {rest:02}s" if minutes else f"{rest}s"
