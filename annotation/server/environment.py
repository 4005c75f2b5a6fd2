"""The server's own environment: built once for all data folders, from the pinned set in inside/requirements.txt."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from pathlib import Path

from curation import locks
from curation.errors import ServerError

CANNOT = "the annotation server's environment cannot be made"
INSTEAD = "a full Argilla deployment does as well: export ARGILLA_API_URL=... ARGILLA_API_KEY=..."
STEP = 25  # packages between two lines of progress

Say = Callable[[str], None]


def interpreter(say: Say = print) -> Path:
    """Return the environment's Python; builds it where it is not there yet, or a killed build left half of it.

    Args:
        say: takes lines of progress.

    Raises:
        ServerError: no package index can be reached, or it lacks what is needed; the folder cannot be written.
    """
    folder = place()
    try:
        _made(folder, say)
    except OSError as e:  # a home that may not be written, a full disk
        raise ServerError(f"{CANNOT} ({e.filename}: {e.strerror}); {INSTEAD}") from e
    return _python(folder)


def _made(folder: Path, say: Say) -> None:
    if not _ready(folder):
        with locks.lock(lock := folder.with_suffix(".lock")) as first:
            if not first:
                say("another process is making the server's environment; waiting for it")
        with locks.hold(lock) as held:
            if not _ready(folder):
                _build(folder, held.fileno(), say)


def place() -> Path:
    """Return where the environment of this set of packages lies: $XDG_DATA_HOME/synthpert, or ~/.local/share there."""
    what = "\n".join([_requirements().read_text("utf-8"), sys.implementation.cache_tag or "", sysconfig.get_platform()])
    share = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return share / "synthpert" / f"argilla-server-{hashlib.sha256(what.encode()).hexdigest()[:12]}"


def _requirements() -> Path:
    return Path(str(resources.files("annotation.server.inside") / "requirements.txt"))


def _ready(folder: Path) -> bool:
    return (folder / "ready").exists() and _python(folder).exists()  # the interpreter it was made from may be gone


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _build(folder: Path, held: int, say: Say) -> None:
    say(f"making the server's own environment in {folder}: once, in about a minute, 230 MB")
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)], held, say)
    # the set is whole and was tested, so nothing is resolved; what is never imported need not be compiled
    pip = [sys.executable, "-m", "pip", "--python", str(_python(folder)), "--disable-pip-version-check", "install"]
    _run([*pip, "--no-input", "--no-deps", "--no-compile", "--progress-bar=off", "-r", str(_requirements())], held, say)
    (folder / "ready").touch()


def _run(command: list[str], held: int, say: Say) -> None:
    """Run a step of the build; it holds the lock too, so that a pip that outlives its parent is never built over."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes, text=True, env=env, pass_fds=(held,)) as made:  # type: ignore[call-overload]
        said = [line.strip() for line in _told(made.stdout, say)]
    if made.returncode:
        errors = [line for line in said if line.startswith("ERROR")] or said or [f"{command[0]} failed"]
        raise ServerError(f"{CANNOT} ({errors[-1]}); {INSTEAD}")


def _told(lines: Iterable[str], say: Say) -> Iterator[str]:
    """Yield the lines of pip that are not empty; say how far it is."""
    total, fetched = _requirements().read_text("utf-8").count("=="), 0
    for line in lines:
        if line.startswith("Collecting ") and (fetched := fetched + 1) % STEP == 0:
            say(f"{fetched} of {total} packages")
        elif line.startswith("Installing collected"):
            say("installing them")
        if line.strip():
            yield line
