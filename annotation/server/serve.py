"""Serve a data folder to whom it may: one process a folder, and weak passwords on this machine alone."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from annotation.server import credentials, environment, process
from annotation.server.credentials import Credentials
from annotation.server.served import Served
from annotation.server.users import User, weak
from curation import locks
from curation.errors import BadInput, ServerError


@contextmanager
def serving(
    folder: Path | str,
    users: Iterable[User] = (),
    port: int = 0,
    host: str = "127.0.0.1",
    workspace: str = "review",
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[Served]:
    """Serve what a folder holds until the block ends; kill this process, and the server ends too.

    Args:
        folder: the server's data; made if it is not there, for this user alone.
        users: made, or given this role and password; others that the folder knows stay. A new folder needs an owner.
        port: 0 takes a free one.
        host: address to listen on. One that others reach is refused while a password is weak.
        workspace: made if it is not there; all of `users` are in it.
        say: takes lines of progress.

    Raises:
        BadInput: a weak password, no owner, an address that cannot be listened on.
        ServerError: another process serves this folder, the environment cannot be made, the server does not answer.
    """
    folder, users = Path(folder).resolve(), list(users)
    with ExitStack() as stack:
        held = _hold(folder)
        stack.enter_context(held)
        known = credentials.read(folder)
        guessable = _guessable(known, users, host)
        listening = stack.enter_context(_listen(host, port))
        python = environment.interpreter(say)
        running = process.start(python, folder, listening, held.fileno())
        stack.callback(process.end, running, folder)
        served = process.wait(running, folder, _url(listening), users, workspace)
        credentials.write(folder, Credentials(served.url, served.api_key, workspace, served.owner, guessable))
        yield served


def _hold(folder: Path) -> Any:
    """Hold the folder, for the server too: if this process is killed, it stays taken until the server has ended."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = locks.take(folder / "serve.lock")
    if held is None:
        raise ServerError(f"{folder}: another process serves this folder; end it, or name another (--data)")
    return held


def _guessable(known: Credentials | None, users: list[User], host: str) -> tuple[str, ...]:
    """Return the users with weak passwords; hashes do not tell, so the folder keeps their names.

    Raises:
        BadInput: others reach the host, and there are such.
    """
    given, now = {user.username for user in users if user.password}, weak(users)
    names = tuple(sorted({*now, *(name for name in (known.weak if known else ()) if name not in given)}))
    if names and not _is_loopback(host):
        what = "their passwords are" if len(names) > 1 else "this password is"
        raise BadInput(
            f"--host {host}: others reach this address, and {what} too easy to guess: {', '.join(names)};"
            " give 12 characters or more in a file (--users), or none there to have one made"
        )
    return names


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name may mean any address
        return False


def _listen(host: str, port: int) -> socket.socket:
    """Bind before anything is built or started: a port in use is told at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as e:
        raise BadInput(f"--host {host} --port {port}: {e.strerror or e}") from e


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
    return f"http://{everywhere.get(host, f'[{host}]' if ':' in host else host)}:{port}"


def until_ended(served: Served) -> None:
    """Wait for Ctrl-C or SIGTERM.

    Raises:
        ServerError: the server ended by itself.
    """
    struck: list[int] = []
    before = {s: signal.signal(s, lambda number, frame: struck.append(number)) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not struck:
            if served.process.poll() is not None:
                raise ServerError("the annotation server ended by itself; its log says why")
            time.sleep(0.2)
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
