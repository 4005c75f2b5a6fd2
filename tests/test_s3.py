"""The store on an object store: the same commands, against an S3 server on loopback."""

import pytest
from kit.s3 import s3


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
