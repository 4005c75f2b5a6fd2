"""The store on an object store: the same commands, against an S3 server on loopback."""

import subprocess
import sys
from pathlib import Path

import pytest
from kit.s3 import s3

from curation.store import Store


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with s3(monkeypatch, "synthpert-test") as place:
        yield f"{place}/team/store"


def test_the_main_job_on_an_object_store(bucket, benchmark, model, run, ask_json, tmp_path):
    at = ("--store", bucket)
    done = run(*at, "sql", "FROM traces")
    assert done.returncode == 1 and "no store here" in done.stderr
    assert ask_json(*at, "ingest", benchmark)["new"] == 3456
    assert ask_json(*at, "ingest", benchmark)["new"] == 0
    assert ask_json(*at, "generate", "--model", "m", "--limit", 300)["answered"] == 300
    assert ask_json(*at, "generate", "--model", "m", "--limit", 300)["cached"] == 300
    graded = ask_json(*at, "grade", "--model", "m")
    funnel = {r["split"]: r for r in ask_json(*at, "sql", "FROM funnel")}
    assert funnel["default"]["asked"] == 300 and graded["answered"] == funnel["default"]["parsed"]
    built = ask_json(*at, "build", "excellent", "--name", "d", "--out", tmp_path / "d")
    assert sum(r["n"] for r in built["rows"] if r["split"] == "default" and r["side"] != "test") > 50
    trace = ask_json(*at, "sql", "SELECT trace_id FROM traces LIMIT 1")[0]["trace_id"]
    assert run(*at, "show", trace).returncode == 0
    assert list((tmp_path / "state").rglob("journal")), "the journals of a store elsewhere lie in the state folder"
    assert not list((tmp_path / "state").rglob("*.jsonl"))


def test_an_object_store_that_is_not_there_is_one_line(bucket, run, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    done = run("--store", bucket, "sql", "FROM traces")
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr


def test_of_processes_that_count_at_once_each_sees_its_own_number(bucket):
    """A commit is a compare-and-swap: no number twice, none left out, no row lost."""
    store, script = Store(bucket, create=True), Path(__file__).parent / "kit" / "counter.py"
    counters = [subprocess.Popen([sys.executable, script, bucket, name, "4"]) for name in "abc"]
    assert [c.wait(timeout=250) for c in counters] == [0, 0, 0]
    rows = store.rows("SELECT grade_id, trace_id FROM raw.grades")
    assert sorted(int(r["trace_id"]) for r in rows) == list(range(1, 13))
    assert len({r["grade_id"] for r in rows}) == 12
