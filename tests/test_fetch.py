"""Fetching: a version stands in its folder whole and as its manifest says, or not at all."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import COMMAND
from kit.hub import hub
from kit.loopback import copied, online

from curation import folders
from curation.errors import BadInput, HubError, VersionError
from curation.fetching import fetch
from curation.publishing import publish

REPO = "org/traces"
REF = f"{REPO}@v1.0.0"


@pytest.fixture(scope="module")
def published(dataset, tmp_path_factory):
    """A Hub that holds traces 1.0.0."""
    place = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as patch, hub(place / "home") as one:
        online(patch)
        store, folder = copied(dataset, place)
        publish(store, "traces", REPO, folder=folder, allow_simulated=True, api=one.api())
        yield one


@pytest.fixture
def remote(published, monkeypatch):
    """The same, as it was, for each test."""
    online(monkeypatch)
    repo = published.repos["datasets", REPO]
    commits, tags = [*repo.commits], dict(repo.tags)
    yield published
    repo.commits, repo.tags = commits, tags
    published.faults.clear()


def change(remote, **content):
    """Move the tag to a commit in which these files have other contents."""
    repo = remote.repos["datasets", REPO]
    fresh = {name.replace("__", "/"): remote.keep(data) for name, data in content.items()}
    repo.tags["v1.0.0"] = repo.add("by hand", repo.head.files | fresh).oid


def manifest(remote, **other):
    """The manifest there, with other values."""
    held = json.loads(remote.blobs[remote.repos["datasets", REPO].head.files["manifest.json"]])
    return json.dumps(held | other).encode()


def nothing_left():
    return not list(Path().glob("traces*")) and not list(Path().glob(".traces*"))


def test_what_is_fetched_is_what_was_built(remote, dataset, run):
    done = run("fetch", REF, env={**os.environ, **remote.env("hf_reader")})
    assert done.returncode == 0, done.stderr
    got = Path("traces-1.0.0")
    assert "each of 12 files has the sha256 of the manifest" in done.stdout
    assert remote.repos["datasets", REPO].head.oid in done.stdout
    assert "not fetched, as no part of it: .gitattributes" in done.stdout
    held = folders.read(got)
    assert (
        folders.rows_of(got, held) == (held["row_hash"], held["rows"])
        and {f.name for f in Path().glob(".traces*")} == set()
    )
    same, built = folders.digests(got), folders.digests(dataset)
    assert {n for n in built if same[n] != built[n]} == {
        "README.md",
        "croissant.json",
    } and same.keys() - built.keys() == {"recipe.sql"}
    full = run("fetch", REF, env={**os.environ, **remote.env("hf_reader")})
    assert full.returncode == 1 and "traces-1.0.0: this folder is not empty" in full.stderr
    sha = fetch(f"{REPO}@{remote.repos['datasets', REPO].head.oid}", out="by-sha", api=remote.api())
    assert sha.commit == sha.revision and sha.out == "by-sha"


def test_what_was_changed_there_is_not_kept(remote):
    card = remote.repos["datasets", REPO].head.files["README.md"]
    change(remote, **{"README.md": remote.blobs[card] + b"\nmore"})
    with pytest.raises(HubError, match=r"v1.0.0: README.md is not the file that manifest.json names \(sha256\)"):
        fetch(REF, api=remote.api())
    assert nothing_left()


def test_rows_that_are_not_those_of_the_manifest_are_not_kept(remote, dataset):
    file = "default/train-00000-of-00001.parquet"
    pq.write_table(pq.read_table(dataset / file).slice(1), "other.parquet")
    digest = remote.keep(Path("other.parquet").read_bytes())
    files = json.loads(manifest(remote))["files"] | {file: digest}
    change(remote, **{file: Path("other.parquet").read_bytes(), "manifest.json": manifest(remote, files=files)})
    with pytest.raises(HubError, match="its rows have the hash .* and manifest.json says .*; nothing was kept"):
        fetch(REF, api=remote.api())
    Path("other.parquet").unlink()
    assert nothing_left()


ROW = {"split": "default", "side": "train", "n": 1}
BAD = {
    "a moved tag": ({"version": "1.0.1"}, "the tag stands on traces 1.0.1: somebody moved it"),
    "no version": ({"version": "latest"}, "'version' in its manifest.json is not what"),
    "a path that leads out": ({"files": {"../../out": "0" * 64}}, "'files' in its manifest.json is not what"),
    "a path of the root": ({"files": {"/out": "0" * 64}}, "'files' in its manifest.json is not what"),
    "a path that is long": ({"files": {"a" * 300: "0" * 64}}, "'files' in its manifest.json is not what"),
    "a name that is a path": ({"name": "../traces"}, "'name' in its manifest.json is not what"),
    "files that are none": ({"files": []}, "'files' in its manifest.json is not what"),
    "a digest that is none": ({"files": {"README.md": 5}}, "'files' in its manifest.json is not what"),
    "a hash that is none": ({"row_hash": None}, "'row_hash' in its manifest.json is not what"),
    "rows that are none": ({"rows": "x"}, "'rows' in its manifest.json is not what"),
    "a side alone": ({"rows": [ROW]}, "'rows' in its manifest.json is not what"),
    "a split that leads out": ({"rows": [ROW | {"split": "../.."}]}, "'rows' in its manifest.json is not what"),
    "fewer than none": ({"rows": [ROW | {"n": -5}]}, "'rows' in its manifest.json is not what"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_manifest_that_will_not_do(name, remote):
    other, told = BAD[name]
    change(remote, **{"manifest.json": manifest(remote, **other)})
    with pytest.raises(HubError, match=rf"^{REPO}@\w.*: {told}") as e:
        fetch(REF, api=remote.api())
    assert nothing_left() and "partial" not in str(e.value)


def test_a_side_without_its_files(remote):
    files = json.loads(manifest(remote))["files"]
    change(remote, **{"manifest.json": manifest(remote, files={n: d for n, d in files.items() if "/test-" not in n})})
    with pytest.raises(HubError, match="'rows' in its manifest.json is not what"):
        fetch(REF, api=remote.api())


@pytest.mark.parametrize("n", [10**9, 0])
def test_rows_are_counted(n, remote):
    rows = json.loads(manifest(remote))["rows"]
    told = [row | ({"n": n} if row["side"] == "validation" else {}) for row in rows]
    change(remote, **{"manifest.json": manifest(remote, rows=told)})
    with pytest.raises(
        HubError, match=rf"default, validation: \d+ rows, and manifest.json says {n:,}; nothing was kept"
    ):
        fetch(REF, api=remote.api())
    assert nothing_left()


def test_what_is_no_parquet_is_not_kept(remote):
    file = "default/train-00000-of-00001.parquet"
    pq.write_table(pa.table({"trace_id": [b"bytes"]}), "other.parquet")
    for data, told in ((b"hello", file), (Path("other.parquet").read_bytes(), "default")):
        files = json.loads(manifest(remote))["files"] | {file: remote.keep(data)}
        change(remote, **{file: data, "manifest.json": manifest(remote, files=files)})
        with pytest.raises(HubError, match=rf"^{REF}: {told}: found no rows of a version \(") as e:
            fetch(REF, api=remote.api())
        assert "\n" not in str(e.value) and nothing_left()


def test_what_is_not_there_or_no_version(remote):
    refs = {
        "org/traces": (BadInput, "wanted ORG/REPO@REVISION"),
        "org/traces@v9.9.9": (HubError, "org/traces@v9.9.9: the repository has no such tag, branch or commit"),
        "org/nothing@v1.0.0": (HubError, "the Hub has no such repository, or this token may not see it"),
    }
    for ref, (kind, told) in refs.items():
        with pytest.raises(kind, match=told) as e:
            fetch(ref, api=remote.api())
        assert "\n" not in str(e.value)
    with pytest.raises(HubError, match="no such repository, or this token may not see it"):
        fetch(REF, api=remote.api(False))
    with pytest.raises(HubError, match="the Hub does not take the token"):
        fetch(REF, api=remote.api("hf_wrong"))
    for text in (b"[]", b"no json", b"{}", b"[" * 100_000):
        change(remote, **{"manifest.json": text})
        with pytest.raises(HubError, match=r"holds no manifest.json of a version"):
            fetch(REF, api=remote.api())
    Path("file").write_text("")
    with pytest.raises(VersionError, match="this is a file"):
        fetch(f"{REPO}@{remote.repos['datasets', REPO].commits[1].oid}", out=Path("file"), api=remote.api())


def test_a_cut_in_the_middle_and_again(remote):
    remote.fault("GET", "resolve/.*/default/train", "cut", times=99)
    with pytest.raises(HubError, match=r"traces, default/train.*: .* cannot be reached \(.*; the same command") as e:
        fetch(REF, api=remote.api())
    assert "\n" not in str(e.value) and not Path("traces-1.0.0").exists()
    remote.faults.clear()
    remote.asked.clear()
    done = fetch(REF, api=remote.api())
    assert folders.read(Path(done.out)) and not list(Path().glob(".traces*"))
    assert not [p for method, p in remote.asked if method == "GET" and p.endswith("README.md")], (
        "what had come was kept"
    )


def test_a_hub_that_is_not_there(remote):
    from huggingface_hub import HfApi

    with pytest.raises(HubError, match=r"http://127.0.0.1:9 cannot be reached \(.*refused"):
        fetch(REF, api=HfApi(endpoint="http://127.0.0.1:9", token="hf_reader"))
    assert nothing_left()


def test_a_disk_that_is_full(remote, start):
    env = {**os.environ, **remote.env("hf_reader")}
    small = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000))}
    done = start("fetch", REF, env=env, **small)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "File too large; what came so far is in .traces-1.0.0." in done.stderr.splitlines()[-1]
    assert not Path("traces-1.0.0").exists()
    assert start("fetch", REF, env=env).returncode == 0 and folders.read(Path("traces-1.0.0"))


def test_killed_in_the_middle_and_again(remote, run):
    env = {**os.environ, **remote.env("hf_reader")}
    reached = []
    remote.fault("GET", "resolve/.*/rpe1_holdout/train", lambda: (reached.append(1), time.sleep(3)))
    process = subprocess.Popen([*COMMAND, "--quiet", "fetch", REF], env=env)
    while not reached and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert reached and not Path("traces-1.0.0").exists()
    assert run("fetch", REF, env=env).returncode == 0
    assert folders.read(Path("traces-1.0.0")) and not list(Path().glob(".traces*"))
    shutil.rmtree("traces-1.0.0")
