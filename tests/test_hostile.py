"""Hostile surroundings: each is one clear line, and what was there stays as it was."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import COMMAND

from curation import schema
from curation.asking.requests import endpoint
from curation.asking.stage import How
from curation.rehearsal.server import serve
from curation.rehearsal.world import write_benchmark
from curation.selection import Selection
from curation.store import Store
from curation.traces import generate


@pytest.fixture
def own(filled, tmp_path):
    shutil.copytree(filled, tmp_path / "store")
    return tmp_path / "store"


def clear_line(done, *words):
    """Check that it ended with one clear line, which holds these words; returns it."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr and "panicked" not in done.stderr, done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("synthpert: ") and all(w in line for w in words), done.stderr
    return line


@pytest.fixture
def small_disk(tmp_path):
    """A disk of a given size; its folder."""
    mounted = []

    def make(kilobytes):
        place = tmp_path / f"disk-{kilobytes}"
        place.mkdir()
        options = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", place]
        if subprocess.run(options, capture_output=True).returncode:
            pytest.skip("no tmpfs can be mounted here")
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        subprocess.run(["umount", place], check=True)


def fill(disk, leave):
    """Fill a disk up but for some kilobytes."""
    with open(disk / "filler", "wb") as f, contextlib.suppress(OSError):
        while shutil.disk_usage(disk).free > leave * 1024:
            f.write(b"\0" * 4096)
            f.flush()


def test_a_disk_that_is_full_at_ingest(small_disk, tmp_path, run):
    write_benchmark(tmp_path / "data")
    disk = small_disk(600)
    fill(disk, 30)
    assert clear_line(run("--store", disk / "store", "ingest", tmp_path / "data"), "No space left")
    (disk / "filler").unlink()
    done = run("--store", disk / "store", "ingest", tmp_path / "data")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", ["generate", "grade", "build", "exclude"])
def test_a_disk_that_fills_in_the_middle(verb, own, small_disk, run, model):
    disk = small_disk(6_000)
    shutil.copytree(own, disk / "store")
    command = {
        "generate": ["generate", "--model", "other", "--limit", "800"],
        "grade": ["grade", "--model", "other"],
        "build": ["build", "direct", "--name", "d", "--out", disk / "out"],
        "exclude": ["exclude", "--where", "true", "--reason", "x"],
    }[verb]
    at = ("--store", disk / "store")
    fill(disk, 40 if verb in ("generate", "grade") else 8)
    assert clear_line(run(*at, *command), "No space left")
    assert not (disk / "out").exists() and not list(disk.glob(".out*"))
    (disk / "filler").unlink()
    done = run(*at, *command)
    assert done.returncode == 0, done.stderr
    if verb in ("generate", "grade"):
        assert model.stats()["answered"] > 0
        counts = Store(disk / "store").rows(
            "SELECT count(*) AS n, count(DISTINCT request_id) AS ids FROM responses "
            "WHERE model = 'other' AND failure IS NULL"
        )[0]
        assert counts["n"] == counts["ids"]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can drop its rights")
@pytest.mark.parametrize("verb", ["generate", "build", "sql", "ingest"])
def test_a_store_that_may_not_be_written(verb, own, tmp_path, model, benchmark):
    """As a user without rights sees it: root without the right to pass over permissions."""
    subprocess.run(["chmod", "-R", "a-w", own], check=True)
    (tmp_path / "out").mkdir()
    command = {
        "generate": ["--store", own, "generate", "--model", "m2"],
        "build": ["--store", own, "build", "excellent", "--name", "d", "--out", tmp_path / "out" / "d"],
        "sql": ["--store", own, "sql", "SELECT count(*) FROM traces"],
        "ingest": ["--store", own / "new", "ingest", benchmark],
    }[verb]
    drop = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    done = subprocess.run([*drop, *COMMAND, *command], capture_output=True, text=True)
    subprocess.run(["chmod", "-R", "u+w", own], check=True)
    if verb == "sql":
        assert done.returncode == 0, done.stderr
    else:
        assert clear_line(done, "ermission denied")
        assert not (tmp_path / "out" / "d").exists()


def biggest(folder, pattern):
    return max(folder.glob(pattern), key=lambda f: f.stat().st_size)


@pytest.mark.parametrize(
    "verb", [["sql", "SELECT sum(length(text)) FROM responses"], ["build", "excellent", "--name", "d"]]
)
def test_a_parquet_file_that_is_cut(verb, own, run):
    file = biggest(own / "responses", "*.parquet")
    file.write_bytes(file.read_bytes()[:-100])
    assert clear_line(run(*verb))


def test_a_parquet_file_that_is_gone(own, run):
    biggest(own / "traces", "*.parquet").unlink()
    assert clear_line(run("sql", "FROM traces"))
    assert clear_line(run("show", "abc"))


def test_a_log_that_is_cut(own, run):
    file = max((own / "traces" / "_delta_log").glob("*.json"))
    file.write_bytes(file.read_bytes()[:50])
    assert clear_line(run("sql", "FROM traces"), "traces")


def test_a_journal_of_rubbish_is_skipped(own, run):
    lines = [b"rubbish", b'{"a": 1}', b"\xff\xfe", b"[]", b'{"response_id": "half", "requ']
    (own / "journal").mkdir(exist_ok=True)
    (own / "journal" / "20260101T000000-dead.jsonl").write_bytes(b"\n".join(lines))
    with serve() as server:
        os.environ["OPENAI_BASE_URL"] = server.base_url
        done = run("generate", "--model", "m", "--limit", 1)
    assert done.returncode == 0, done.stderr
    assert not list((own / "journal").glob("*.jsonl"))


def test_a_clock_that_was_set_back(store, model, monkeypatch):
    """What is written after the clock went back still counts as later."""
    generate(store, Selection(limit=5), endpoint("m"), how=How(quiet=True))
    real = schema._Clock.now
    back = schema._Clock()
    back.start -= timedelta(days=400)
    monkeypatch.setattr(schema, "_clock", back)
    assert real(back).year < store.rows("SELECT max(created) AS t FROM runs")[0]["t"].year
    generate(store, Selection(limit=10), endpoint("m"), how=How(quiet=True))
    runs = store.rows("SELECT state, started, ended FROM runs WHERE command = 'generate' ORDER BY started")
    assert [r["state"] for r in runs] == ["done", "done"]
    assert runs[0]["ended"] < runs[1]["started"] < runs[1]["ended"]


def test_ctrl_c_at_any_point(store):
    """Wherever it strikes, the same command then comes to its end with each row once."""
    rng = random.Random(5)
    with serve(latency=0.05) as server:
        os.environ["OPENAI_BASE_URL"] = server.base_url
        command = [*COMMAND, "generate", "--limit", "150", "--concurrency", "4", "--model", "m"]
        for _ in range(8):
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            while process.poll() is None and not list(Path(store.journals).glob("*.jsonl")):
                time.sleep(0.01)  # before that it has asked nothing, and libraries of others are still starting
            time.sleep(rng.uniform(0.0, 1.5))
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
            assert process.returncode in (0, 3, -signal.SIGINT), err  # the last: as Python itself ends
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert server.stats()["repeated"] == 0, "what was in flight was let finish, and kept"
    assert store.rows("SELECT count(*) AS n FROM responses WHERE failure IS NULL") == [{"n": 150}]
    assert store.rows("SELECT count(*) AS n FROM raw.traces") == [{"n": 150}]
    assert not list(Path(store.journals).glob("*.jsonl"))


def test_any_next_run_tells_which_ones_were_killed(store, run, benchmark):
    with serve(latency=30) as server:
        os.environ["OPENAI_BASE_URL"] = server.base_url
        process = subprocess.Popen([*COMMAND, "generate", "--model", "m", "--limit", "3"], stderr=subprocess.DEVNULL)
        while not list(Path(store.journals).glob("*.jsonl")):
            time.sleep(0.02)
        process.kill()
        process.wait()
    state = "SELECT state FROM runs WHERE command = 'generate'"
    assert store.rows(state) == [{"state": "running"}]
    assert run("ingest", benchmark).returncode == 0
    assert store.rows(state) == [{"state": "killed"}]
    assert not list(Path(store.journals).glob("*.run"))
