"""Locks that die with their process: a file held by flock says that its holder lives."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def lock(file: Path) -> Iterator[bool]:
    """Hold a lock for the while of the block; False if another process holds it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w") as handle:
        yield _taken(handle)


def hold(file: Path) -> IO[bytes]:
    """Open a file for appending and hold it until it is closed; made anew if `abandoned` removed it in between."""
    file.parent.mkdir(parents=True, exist_ok=True)
    while True:
        out = open(file, "ab", buffering=0)  # noqa: SIM115 - the caller closes it
        fcntl.flock(out, fcntl.LOCK_EX)
        if _there(file, out):
            return out
        out.close()


def take(file: Path) -> IO[bytes] | None:
    """Open a file and hold it until each process that has the handle closed it or died; None if another holds it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    out = open(file, "ab")  # noqa: SIM115 - the caller closes it
    if _taken(out):
        return out
    out.close()
    return None


def abandoned(folder: Path, pattern: str) -> Iterator[tuple[Path, IO[bytes]]]:
    """Yield each file of a folder whose holder is dead, held for the while of one turn."""
    for file in sorted(folder.glob(pattern)):
        try:
            held = open(file, "r+b")  # noqa: SIM115 - the with below closes it
        except FileNotFoundError:
            continue  # another process came first
        with held:
            if _taken(held) and _there(file, held):
                yield file, held


def _there(file: Path, handle: IO) -> bool:
    """Tell whether a file is still the one that was opened: its holder may have removed it just before."""
    try:
        return os.fstat(handle.fileno()).st_ino == file.stat().st_ino
    except FileNotFoundError:
        return False


def _taken(handle: IO) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
