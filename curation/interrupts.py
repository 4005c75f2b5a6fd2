"""Ctrl-C: heard once, never lost, and told as what it is, whatever a library makes of it."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_struck = threading.Event()


def listen() -> None:
    """Raise KeyboardInterrupt on Ctrl-C, as Python does, and remember it: see `struck`."""
    signal.signal(signal.SIGINT, _strike)
    sys.unraisablehook = _unraisable


def struck() -> bool:
    """Tell whether a Ctrl-C was raised: what a command then ends with follows from it.

    Native libraries that call back into Python hand on an error of their own in its place: DuckDB, where it
    strikes while an Arrow stream is read, says that exporting the stream failed.
    """
    return _struck.is_set()


@contextmanager
def held_back() -> Iterator[None]:
    """Hold Ctrl-C back for the while of the block, after which it strikes.

    For what loses it or breaks by it: a native library that starts up, an event loop that is made or closed.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def let_through() -> Iterator[None]:
    """Take Ctrl-C within a block that holds it back."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


@contextmanager
def instead(act: Callable[[], None]) -> Iterator[None]:
    """Call `act` on Ctrl-C and SIGTERM, where the event loop runs on the main thread and may take signals."""
    loop = asyncio.get_running_loop()
    mine = threading.current_thread() is threading.main_thread()
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)} if mine else {}
    for s in before:
        loop.add_signal_handler(s, act)
    try:
        yield
    finally:
        for s, handler in before.items():
            loop.remove_signal_handler(s)
            signal.signal(s, handler)


def _strike(number: int, frame: FrameType | None) -> None:
    _struck.set()
    raise KeyboardInterrupt


def _unraisable(unraisable: Any) -> None:
    """A Ctrl-C that struck inside a finaliser, where Python drops it, strikes again outside."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    else:
        sys.__unraisablehook__(unraisable)
