"""A run: one command from its start to its end, recorded in the table `runs`."""

from __future__ import annotations

import getpass
import json
import os
import platform
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from curation.arrow import from_rows
from curation.errors import Interrupted, StoreError
from curation.locks import abandoned, hold
from curation.schema import TABLES, not_before, now
from curation.store import Store


def code_version() -> str:
    """Return the version of synthpert that runs."""
    return version("synthpert")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return str(os.getuid())


@dataclass
class Run:
    """One command while it runs; its id sorts by time."""

    id: str
    stopped: bool = False  # set by a command that comes to its end before its work does


@contextmanager
def run(store: Store, command: str, args: Mapping[str, Any]) -> Iterator[Run]:
    """Record that a command began, and how it ended."""
    bury(store)
    if seen := store.rows("SELECT max(created) AS t FROM raw.runs")[0]["t"]:
        not_before(seen)
    started = now()
    run_id = f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    row = {
        "run_id": run_id, "command": command, "args": json.dumps(dict(args), default=str),
        "code": code_version(), "user_name": _user(), "host": platform.node(), "started": started,
    }  # fmt: skip
    this = Run(run_id)
    with _alive(store, run_id):
        _record(store, row, "running")
        try:
            yield this
        except BaseException as e:
            stopped = isinstance(e, KeyboardInterrupt | Interrupted)
            with suppress(StoreError):  # the disk that is full is what is to be told, not that this cannot be written
                _record(store, row, "stopped" if stopped else "failed", ended=now())
            raise
        _record(store, row, "stopped" if this.stopped else "done", ended=now())


def bury(store: Store) -> None:
    """Record the runs of this machine that were killed: their file is there, and nobody holds it."""
    for file, _ in abandoned(store.journals, "*.run"):
        for row in store.rows("SELECT * FROM runs WHERE run_id = $id AND state = 'running'", {"id": file.stem}):
            _record(store, row, "killed", ended=now())
        file.unlink(missing_ok=True)


@contextmanager
def _alive(store: Store, run_id: str) -> Iterator[None]:
    file = store.journals / f"{run_id}.run"
    with hold(file):
        yield
        # not in a finally: what could not even be recorded as failed is buried by the next run
        file.unlink(missing_ok=True)


def _record(store: Store, row: Mapping[str, Any], state: str, **more: Any) -> None:
    line = {**row, **more, "state": state, "created": now()}
    store.append("runs", from_rows([line], TABLES["runs"].schema))
