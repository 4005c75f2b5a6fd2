"""How far a run is, on stderr: one line that is redrawn in a terminal, a plain line every ten seconds elsewhere."""

from __future__ import annotations

import sys
import time

from curation.asking.engine import Asked


class Progress:
    """Prints the count of a run as it goes; `quiet` prints nothing."""

    def __init__(self, what: str, total: int, *, quiet: bool = False) -> None:
        self.what, self.total, self.quiet = what, total, quiet
        self.began = self.last = time.monotonic()
        self.terminal = sys.stderr.isatty()

    def __call__(self, count: Asked) -> None:
        """Tell of a count, if there is a terminal or it is time."""
        now = time.monotonic()
        if self.quiet or (not self.terminal and now - self.last < 10):
            return
        self.last = now
        print(self._line(count, now - self.began), end="", file=sys.stderr, flush=True)

    def _line(self, count: Asked, seconds: float) -> str:
        done = count.answered + count.cached + count.failed
        rate = count.answered / seconds if seconds else 0.0
        text = f"{self.what}: {done:,} of {self.total:,}  {rate:.1f}/s"
        text += f"  {count.failed:,} failed" if count.failed else ""
        text += f"  ${count.usd:.2f}" if count.usd else ""
        text += f"  {_span((self.total - done) / rate)} left" if rate and done < self.total else ""
        return f"\r\x1b[K{text}" if self.terminal else f"{text}\n"

    def end(self) -> None:
        """Leave the line as it stands and go on below it."""
        if self.terminal and not self.quiet:
            print(file=sys.stderr)


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m {rest:02}s" if minutes else f"{rest}s"
