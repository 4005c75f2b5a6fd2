"""The server's process: started in its own environment, told who may use it, waited for, ended."""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from annotation.server.served import Served, answers
from annotation.server.users import User
from curation.errors import BadInput, ServerError

DEADLINE = 180.0  # seconds from start to answer: 5 on a warm disk, more where all is read and compiled first
GRACE = 8.0  # seconds from being asked to end to being killed
LOG = "server.log"


def start(python: Path, folder: Path, listening: socket.socket, held: int) -> subprocess.Popen:
    """Start the server in its own environment and session, where the terminal's Ctrl-C does not reach it."""
    # last on the path, for its modules have plain names; -I: no folder and no variable of ours adds to the environment
    code = f"import sys; sys.path.append({str(Path(__file__).parent)!r}); from inside.run import main; main()"
    fds = listening.fileno(), held
    with open(folder / LOG, "ab") as log:
        return subprocess.Popen(
            [str(python), "-I", "-c", code, str(listening.fileno())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            pass_fds=fds, env=_environ(folder), cwd=folder, start_new_session=True,
            umask=0o077,
        )  # fmt: skip


def _environ(folder: Path) -> dict[str, str]:
    """Return the server's environment variables: its own settings alone, none of a deployment that the user has too."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ARGILLA_", "OAUTH"))}
    scratch = folder / "tmp"  # the server copies its pages there at each start, and leaves them
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    return kept | {
        "ARGILLA_HOME_PATH": str(folder),
        "ARGILLA_AUTH_SECRET_KEY": _secret(folder / "secret"),
        "ARGILLA_SEARCH_ENGINE": "tables",
        "ARGILLA_CORS_ORIGINS": "[]",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
        "TMPDIR": str(scratch),
    }


def _secret(file: Path) -> str:
    """Return what signs the tokens; kept, so that a restart logs nobody out."""
    if not file.exists() or not file.read_text():
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(32))
    return file.read_text()


def wait(process: subprocess.Popen, folder: Path, url: str, users: list[User], workspace: str) -> Served:
    """Hand the users over, and wait until the server answers."""
    until = time.monotonic() + DEADLINE
    told = _settled(process, folder, {"workspace": workspace, "users": [u._asdict() for u in users]}, until)
    given = {user.username: user.password for user in users}
    for user in told["users"]:
        user["made"] = user["password"] is not None
        user["password"] = user["password"] or given[user["username"]]
    while not answers(url):
        _check(process, folder, until)
        time.sleep(0.1)
    return Served(url, told["owner"], told["api_key"], workspace, told["users"], process)


def _settled(process: subprocess.Popen, folder: Path, asked: dict[str, Any], until: float) -> dict[str, Any]:
    assert process.stdin and process.stdout
    try:
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        process.wait()  # it ended at once; the log has why
    while not select.select([process.stdout], [], [], 0.5)[0]:
        _check(process, folder, until)
    line = process.stdout.readline()
    if not line:
        process.wait()
        _check(process, folder, until)
    told = json.loads(line)
    if "error" in told:
        raise BadInput(f"{folder}: {told['error']}; name one in a file of users (--users)")
    return told


def _check(process: subprocess.Popen, folder: Path, until: float) -> None:
    late = time.monotonic() > until
    if late or process.poll() is not None:
        log = (folder / LOG).read_text("utf-8", "replace").strip().splitlines() or ["nothing"]
        what = f"does not answer after {DEADLINE:.0f} s" if late else "ended as it started"
        raise ServerError(f"the annotation server {what}; {folder / LOG} ends with: {log[-1].strip()}")


def end(process: subprocess.Popen, folder: Path) -> None:
    """End the server as its parent's death would, and see that it has ended."""
    assert process.stdin and process.stdout
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
    shutil.rmtree(folder / "tmp", ignore_errors=True)
