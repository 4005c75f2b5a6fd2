"""Keeper: brings what comes to the journal at once, to the disk each second and to the table now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import pyarrow as pa

from curation.asking.journal import Journal

SYNC_EVERY, ABSORB_ROWS = 1.0, 2_000  # seconds, rows
LOOK_OFTEN = 4  # times between two syncs
ABSORB_FIRST, ABSORB_EVERY = 2.0, 15.0  # seconds; doubled from the first to the second


class Keeper:
    """Keeps the replies of one run while the event loop asks on.

    Args:
        journal: where they go first.
        absorbed: called with the rows of replies that have reached the table.
        lost: called where the system takes no more; what went wrong is in `broken`.
    """

    def __init__(self, journal: Journal, absorbed: Callable[[pa.Table], object], lost: Callable[[], object]) -> None:
        self.journal, self.absorbed, self.lost = journal, absorbed, lost
        self.broken: OSError | None = None
        self._beside, self._absorbing = ThreadPoolExecutor(1), Lock()

    def add(self, columns: dict[str, Any]) -> None:
        """Have a reply kept with all that came in the same moment: a write each would cost more than the rest."""
        if self.journal.add(columns):
            asyncio.get_running_loop().call_soon(self._flush)

    async def run(self, look: Callable[[], object], tell: Callable[[], object]) -> None:
        """Keep on, until cancelled; `look` is called a few times a second, `tell` once."""
        since, every = 0.0, ABSORB_FIRST
        while True:
            for _ in range(LOOK_OFTEN):
                await asyncio.sleep(SYNC_EVERY / LOOK_OFTEN)
                look()
            since += SYNC_EVERY
            if self.journal.pending >= ABSORB_ROWS or (self.journal.pending and since >= every):
                await self.aside(self.absorb)
                since, every = 0.0, min(2 * every, ABSORB_EVERY)
            else:
                await self.aside(self.journal.sync)
            tell()

    async def aside(self, work: Callable[[], object]) -> None:
        """Do what takes long on a thread beside the loop: always the same, as each thread hoards memory of its own."""
        await asyncio.get_running_loop().run_in_executor(self._beside, work)

    def absorb(self) -> None:
        """Bring the journal into the table, and have its rows read; one that a cancelled run began is waited for."""
        with self._absorbing:
            self.journal.absorb(self.absorbed)

    def _flush(self) -> None:
        try:
            self.journal.flush()
        except OSError as e:
            self.broken = e
            self.lost()
