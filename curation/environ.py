"""Environment variables that hold for a while: a rehearsal asks its own servers, whatever the user's settings are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def environ(**values: str | None) -> Iterator[None]:
    """Set environment variables until the block ends; None unsets one."""
    own = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(own)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})
