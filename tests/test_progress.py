"""The live view: a block that is redrawn in a terminal whatever its size, plain lines elsewhere."""

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

import pytest
from conftest import COMMAND

from curation.asking import progress
from curation.asking.asked import Asked
from curation.asking.progress import Kind, Part, View
from curation.rehearsal.server import serve
from curation.terminal import Block

GENERATE = ("generate", "--model", "m", "--concurrency", "16")


class Screen:
    """A terminal as far as the block needs one: what stands on it after what was written."""

    def __init__(self, columns, rows):
        self.columns, self.rows, self.lines, self.row = columns, rows, [""], 0

    def take(self, text):
        for code, char in re.findall(r"(\x1b\[[\d;]*[A-Za-z])|([^\x1b])", text):
            self._code(code) if code else self._char(char)

    def _code(self, code):
        if code.endswith("A"):
            self.row = max(0, self.row - int(code[2:-1] or 1))
            self.column = 0
        elif code.endswith("K"):
            self.lines[self.row] = self.lines[self.row][: self.column]
        elif code.endswith("J"):
            del self.lines[self.row + 1 :]
            self.lines[self.row] = self.lines[self.row][: self.column]

    column = 0

    def _char(self, char):
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self.row, self.column = self.row + 1, 0
            self.lines += [""] * (self.row - len(self.lines) + 1)
        else:
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + char + line[self.column + 1 :]
            self.column += 1
            assert self.column < self.columns, f"wrapped: {self.lines[self.row]}"

    def narrower(self, columns):
        """Wrap what stands there, as terminals do."""
        at = len(self.lines) - self.row
        self.lines = [part for line in self.lines for part in (re.findall(f".{{1,{columns}}}", line) or [""])]
        self.columns, self.row = columns, len(self.lines) - at


@pytest.fixture
def terminal():
    """A pseudo-terminal; yields its two ends."""
    outer, inner = pty.openpty()
    yield outer, inner
    for end in (outer, inner):
        with contextlib.suppress(OSError):
            os.close(end)


def resize(end, columns, rows):
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def run_in(terminal, *command, size=(100, 30), until=None, **env):
    """Run a command with its stderr in a terminal of this size; returns its status and all that it wrote there."""
    outer, inner = terminal
    resize(outer, *size)
    own = {**os.environ, "TERM": "xterm", **env}
    process = subprocess.Popen([*COMMAND, *command], stdout=subprocess.DEVNULL, stderr=inner, stdin=inner, env=own)
    os.close(inner)
    said = bytearray()

    def read():
        with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
            while data := os.read(outer, 65536):
                said.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    if until:
        until(process, said)
    status = process.wait(60)
    reader.join(10)
    return status, said.decode().replace("\r\n", "\n")


def plain(text):
    return re.sub(r"\x1b\[[\d;]*\w", "", text)


def test_a_terminal_shows_one_block_of_both_stages_and_leaves_its_last_state(store, terminal, ask_json):
    with serve(malformed=0.1, latency=0.1) as server:
        os.environ["OPENAI_BASE_URL"] = server.base_url
        status, said = run_in(terminal, *GENERATE, "--limit", "150", "--grade", "critic")
    assert status == 0
    assert said.count("\x1b[J") >= 2, "it was redrawn"
    screen = Screen(100, 30)
    screen.take(said)
    text = "\n".join(screen.lines)
    assert text.count("generate ") == text.count("grade  ") == 1, text
    assert re.search(r"^generate  150 of 150 \(100%\)  [\d.]+/s  in \d+s$", text, re.M), text
    right = ask_json("sql", "SELECT label, count(*) AS n FROM traces WHERE valid AND correct GROUP BY 1")
    valid = {r["label"]: r["n"] for r in right}
    up, down, none = (valid[k] for k in ("upregulated", "downregulated", "not differentially expressed"))
    assert f"accepted {up + down + none}: up {up}, down {down}, no change {none}" in text
    grades = ask_json("sql", "SELECT grade, count(*) AS n FROM grades WHERE grade IS NOT NULL GROUP BY 1")
    assert f"graded {sum(r['n'] for r in grades)}: " in text
    assert all(f"{r['grade']} {r['n']}" in text for r in grades), text
    graded = ask_json("sql", "SELECT count(*) AS n FROM grades")[0]["n"]
    assert f"grade     {graded} of {graded} (100%)" in text, "in the end the bound is the number that there were"


def test_ctrl_c_leaves_a_whole_last_frame_and_the_closing_line(store, terminal):
    def strike(process, said):
        while b"of 300 (" not in said or b" 0 of 300" in said.rsplit(b"generate", 1)[-1]:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)

    with serve(latency=0.3) as server:
        os.environ["OPENAI_BASE_URL"] = server.base_url
        status, said = run_in(terminal, *GENERATE, "--limit", "300", size=(60, 20), until=strike)
        answered = server.stats()["answered"]
    assert status == 3
    screen = Screen(200, 20)  # the closing line may wrap, the block may not
    screen.take(said)
    (head,) = [line for line in screen.lines if line.startswith("generate")]
    assert head.startswith(f"generate  {answered} of 300 (") and " in " in head and len(head) < 60
    last = [line for line in screen.lines if line][-1]
    assert last.startswith("synthpert: interrupted") and "the same command goes on from here" in last
    assert max(len(line) for line in plain(said.split("synthpert:")[0]).splitlines()) < 60


def test_no_colour_where_none_is_wanted(store, terminal, model):
    status, said = run_in(terminal, *GENERATE, "--limit", "20", NO_COLOR="1")
    assert status == 0 and "generate  20 of 20" in said and not re.search(r"\x1b\[[\d;]*m", said)


def test_a_pipe_and_a_dumb_terminal_get_no_escapes_and_quiet_nothing(store, terminal, model, run):
    done = run(*GENERATE, "--limit", "20")
    assert done.returncode == 0 and "\x1b" not in done.stderr and "generate" not in done.stderr.splitlines()[0]
    assert run("--quiet", *GENERATE, "--limit", "40").stderr == ""
    status, said = run_in(terminal, *GENERATE, "--limit", "60", TERM="dumb")
    assert status == 0 and "\x1b" not in said


# -- the block on its own


@pytest.fixture
def drawn(terminal, monkeypatch):
    """A block in a pseudo-terminal, without colours, and what it writes."""
    monkeypatch.setenv("NO_COLOR", "1")
    outer, inner = terminal
    termios.tcsetattr(inner, termios.TCSANOW, _raw(inner))
    block = Block(os.fdopen(os.dup(inner), "w"))

    def draw(lines, size):
        resize(outer, *size)
        block.draw(lines)
        return os.read(outer, 65536).decode()

    yield draw
    block.out.close()


def _raw(end):
    found = termios.tcgetattr(end)
    found[1] &= ~termios.OPOST
    return found


def test_a_block_survives_resizing(drawn):
    lines = [f"{name} " + name * 70 for name in "abc"]
    screen = Screen(120, 30)
    screen.take("before\n")
    screen.take(drawn(lines, (120, 30)))
    for columns in (80, 40, 25):
        screen.narrower(columns)
        screen.take(drawn(lines, (columns, 30)))
        cut = [line if len(line) < columns else line[: columns - 2] + "…" for line in lines]
        assert screen.lines == ["before", *cut, ""]
    screen.columns = 120
    screen.take(drawn(lines, (120, 30)))
    assert screen.lines == ["before", *lines, ""]


def test_a_low_terminal_gets_the_first_lines_and_one_without_a_size_the_usual(drawn):
    lines = [f"line {n}" for n in range(9)]
    assert drawn(lines, (80, 5)).count("\n") == 4
    assert "\x1b[4A" in drawn(lines, (80, 5)), "no farther up than the screen goes"
    assert drawn(["x" * 200], (0, 0)).count("x") == 78, "and an ellipsis"


# -- the words


def counted(part, **counts):
    part.told(Asked(**counts))
    return part


def test_rate_time_and_dollars_are_those_of_what_came(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    part = Part("generate", 1_000, "accepted")
    clock[0] = 110.0
    count = Asked(asked=130, answered=100, cached=200, failed=3, usd=5.0, in_flight=64, retried=12)
    count.failures = {"timeout": 1, "content_filter": 2}
    part.told(count)
    part.tally = [Kind("up", True, 60), Kind("down", True, 30), Kind("wrong", False, 10)]
    assert part.lines() == [
        "generate  303 of 1,000 (30%)  10.0/s  1m 09s left",
        "          64 in flight  200 known before  12 tried again  3 failed: content_filter 2, timeout 1",
        "          $5.00 of about $39.85",
        "          accepted 90: up 60, down 30; wrong 10",
    ]
    assert part.line().startswith("generate: 303 of 1,000 (30%)  10.0/s") and "\n" not in part.line()
    said = counted(part, answered=100, stopped="interrupted").lines()[0]
    assert "stopping: Ctrl-C again gives up what is in flight" in said
    said = counted(part, answered=100, gone="unreachable").line()
    assert "no answer any more (unreachable): asked now and then" in said
    assert "cost unknown" in counted(part, answered=1, usd=None).line()
    part.end(whole=True)
    assert "in 10s" in part.lines()[0] and "left" not in part.line()


def test_a_stage_whose_requests_are_still_made_has_a_bound_and_in_the_end_a_number():
    part = Part("grade", 100, "graded", at_most=True)
    assert "40 of up to 100  " in counted(part, answered=40, usd=1.0).line() and "of up to $2.50" in part.line()
    stopped = Part("grade", 100, at_most=True)
    counted(stopped, answered=40, stopped="interrupted").end(whole=True)
    part.end(whole=True)
    assert "40 of 40 (100%)" in part.line() and "40 of up to 100" in stopped.line()


def test_elsewhere_there_is_a_line_a_stage_every_ten_seconds_and_a_last_one(monkeypatch, capsys):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    part = Part("generate", 30)
    with View([part]) as view:
        tell = view.teller(part)
        for second in range(1, 26):
            clock[0] = float(second)
            tell(Asked(answered=second))
        assert capsys.readouterr().err.splitlines() == [
            "generate: 10 of 30 (33%)  1.0/s  20s left  0 in flight",
            "generate: 20 of 30 (66%)  1.0/s  10s left  0 in flight",
        ]
        tell(Asked(answered=30))
    assert capsys.readouterr().err == "generate: 30 of 30 (100%)  1.2/s  in 25s\n"


def test_a_reader_that_has_gone_does_not_end_the_run(monkeypatch):
    reading, writing = os.pipe()
    monkeypatch.setattr(sys, "stderr", os.fdopen(writing, "w"))
    os.close(reading)
    view = View([Part("generate", 1)])
    view.show()
    assert view.quiet
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.close()
