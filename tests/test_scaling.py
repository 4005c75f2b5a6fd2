"""Many machines: shards of one set at once on one store, on a folder and on an object store."""

import os
import signal
import subprocess
import time

import pytest
from conftest import COMMAND
from kit.s3 import s3

from curation.examples import ingest
from curation.rehearsal.server import serve
from curation.store import Store

N, LIMIT, IN_FLIGHT = 3, 120, 8
GENERATE = ("generate", "--model", "m", "--limit", str(LIMIT), "--concurrency", str(IN_FLIGHT))


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "store")


@pytest.fixture
def bucket(monkeypatch):
    with s3(monkeypatch, "synthpert-shards") as place:
        yield f"{place}/store"


@pytest.fixture(params=["folder", "bucket"])
def shared(request, benchmark):
    """The place of a store that several machines share."""
    place = request.getfixturevalue(request.param)
    ingest(Store(place, create=True), benchmark)
    return place


def machine(place, i, tmp_path):
    """Start a shard as another machine would: with a state folder of its own."""
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / f"machine-{i}")}
    command = [*COMMAND, "--store", place, *GENERATE, "--shard", f"{i}/{N}"]
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def ended(*processes):
    """Wait for all; returns their exit statuses, and what the failed ones said."""
    said = [p.communicate(timeout=250)[1] for p in processes]
    return [(p.returncode, "" if p.returncode <= 0 else err) for p, err in zip(processes, said, strict=True)]


def whole(place):
    """Every example of the set has one answer and one trace, and each shard its part of them."""
    store = Store(place)
    (found,) = store.rows(
        "SELECT count(*) AS answers, count(DISTINCT subject_id) AS examples FROM raw.responses WHERE failure IS NULL"
    )
    (traces,) = store.rows("SELECT count(*) AS n, count(DISTINCT example_id) AS examples FROM raw.traces")
    assert found == {"answers": LIMIT, "examples": LIMIT} and traces == {"n": LIMIT, "examples": LIMIT}
    return store


def test_three_at_once_ask_each_example_once(shared, tmp_path, monkeypatch):
    with serve(latency=0.05, malformed=0.1) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        assert ended(*(machine(shared, i, tmp_path) for i in range(1, N + 1))) == [(0, "")] * N
        stats = server.stats()
    assert (stats["answered"], stats["unique"], stats["repeated"]) == (LIMIT, LIMIT, 0)
    shares = whole(shared).rows("SELECT run_id, count(*) AS n FROM responses GROUP BY run_id")
    assert len(shares) == N and min(r["n"] for r in shares) > LIMIT / 5


def test_a_shard_that_is_killed_and_run_again_ends_right(shared, tmp_path, monkeypatch):
    with serve(latency=0.2) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        first = machine(shared, 1, tmp_path)
        while server.stats()["answered"] < 2 * IN_FLIGHT and first.poll() is None:
            time.sleep(0.01)
        first.kill()
        assert ended(first) == [(-signal.SIGKILL, "")]
        assert ended(*(machine(shared, i, tmp_path) for i in range(1, N + 1))) == [(0, "")] * N
        stats = server.stats()
    whole(shared)
    assert stats["unique"] == LIMIT and stats["repeated"] <= IN_FLIGHT, "what was in flight at the kill alone"
    assert not list(tmp_path.rglob("*.jsonl")), "no journal is left"
