"""What is compared: how each tool is started, and what became of it, seen from outside."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.asking import stub

HERE = Path(__file__).parent
SETTLED = 0.25  # seconds before a kill: what was sent has arrived, and what is in flight was not answered yet
SEEN_EVERY = 0.3  # seconds between two looks at a tool's memory: each costs some milliseconds


@dataclass
class Seen:
    """One run of a tool: seconds, CPU seconds and the largest memory, of the process and those it started."""

    wall: float
    cpu: float
    megabytes: float
    began: float  # by the clock that the stub's counts use
    status: int


class Task(NamedTuple):
    """What a tool is to do: ask N prompts at an address; `work` is kept from one run to the next."""

    n: int
    concurrency: int
    url: str
    work: Path

    def options(self) -> list[str]:
        """Return what every driver takes."""
        given = [(f"--{name}", str(value)) for name, value in self._asdict().items()]
        return [word for pair in given for word in pair]


class Tool(NamedTuple):
    """A name, and the command that does a task."""

    name: str
    command: Callable[[Task], list[str]]
    settings: str = ""  # of a synthpert.toml in the folder that it runs in

    def run(self, task: Task, *more: str, kill_at: int | None = None) -> Seen:
        """Do a task, or be killed with SIGKILL once the stub has answered `kill_at` requests."""
        os.environ.update(OPENAI_BASE_URL=task.url, OPENAI_API_KEY="x")
        (task.work / "synthpert.toml").write_text(self.settings)
        enough = (lambda: told(task.url)["answered"] >= kill_at) if kill_at else lambda: False
        return watched([*self.command(task), *more], task.work, enough)


def _ours(task: Task) -> list[str]:
    """Return `generate` as a user types it, on the store in the folder."""
    asked = ["--model", "gpt-4", "--limit", str(task.n), "--concurrency", str(task.concurrency)]
    return [sys.executable, "-m", "synthpert", "--quiet", "--store", str(task.work / "store"), "generate", *asked]


OURS = Tool("synthpert", _ours)
SDK = Tool("synthpert, by the openai package", _ours, '[models."gpt-4"]\nclient = "sdk"\n')
BARE = Tool("bare loop", lambda task: [sys.executable, str(HERE / "drivers" / "bare.py"), *task.options()])


def rival(named: str) -> Tool:
    """Return the tool of NAME=PYTHON, whose driver is drivers/NAME.py."""
    name, _, python = named.partition("=")
    return Tool(name, lambda task: [python, str(HERE / "drivers" / f"{name}.py"), *task.options()])


def watched(command: list[str], folder: Path, enough: Callable[[], bool]) -> Seen:
    """Run a command in a folder and a process group of its own; it is killed when `enough` says so."""
    began = time.monotonic()
    with open(os.environ.get("BENCHMARK_LOG", os.devnull), "ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    most, look_at, done = 0.0, began, False
    while not done:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        done = pid != 0
        if not done and (now := time.monotonic()) >= look_at:
            most, look_at = max(most, _megabytes(process.pid)), now + SEEN_EVERY
        if not done and enough():
            time.sleep(SETTLED)
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.01)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Seen(time.monotonic() - began, usage.ru_utime + usage.ru_stime, most, began, process.returncode)


def _megabytes(group: int) -> float:
    """Return the proportional set size of a process group, so that what processes share counts once."""
    total = 0
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and os.getpgid(int(folder.name)) == group:
                lines = (folder / "smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except OSError:  # it ended just now
            continue
    return total / 1024


@contextmanager
def stubbed(**given: object) -> Iterator[str]:
    """Serve the stub in a process of its own, with its options; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = [word for name, value in {"port": port, **given}.items() for word in (f"--{name}", str(value))]
    process = subprocess.Popen([sys.executable, "-m", stub.__name__, *options])
    url = f"http://127.0.0.1:{port}/v1"
    try:
        while not _answers(url):
            time.sleep(0.05)
        yield url
    finally:
        process.kill()
        process.wait()


def told(url: str) -> dict[str, Any]:
    """Return the stub's counts."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats", timeout=20) as reply:
        return json.load(reply)


def reset(url: str) -> None:
    """Have the stub count from nothing."""
    urllib.request.urlopen(url.removesuffix("/v1") + "/reset", data=b"", timeout=20).close()


def _answers(url: str) -> bool:
    try:
        return bool(told(url))
    except OSError:
        return False
