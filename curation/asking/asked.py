"""Asked: what became of the requests of one run, as it is counted while the run lasts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


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
    gone: str | None = None  # how the server fails, where it answers nothing any more
    failures: dict[str, int] = field(default_factory=dict)  # of those given up, by reason

    def json(self) -> dict[str, Any]:
        """Return the fields for --json."""
        return {k: v for k, v in asdict(self).items() if k not in ("in_flight", "retried", "gone", "failures")}

    def give_up(self, why: str, n: int = 1) -> None:
        """Count requests as failed."""
        self.failed += n
        self.failures[why] = self.failures.get(why, 0) + n
