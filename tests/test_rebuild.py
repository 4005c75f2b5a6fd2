"""Rebuild: a version comes out of the store again, to the byte, whatever has happened to the store since."""

import json
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from conftest import COMMAND

from curation import folders, rows, store, versions
from curation.asking.requests import endpoint
from curation.asking.stage import How
from curation.errors import VersionError
from curation.exclusions import exclude
from curation.grades import grade
from curation.rebuild import rebuild
from curation.selection import Selection
from curation.store import Store
from curation.traces import generate
from curation.versions import build


@pytest.fixture
def own(filled, tmp_path):
    shutil.copytree(filled, tmp_path / "store")
    return Store(tmp_path / "store")


def everything(folder):
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in Path(folder).rglob("*") if f.is_file()}


def grow(own):
    """Half as many traces again, a second critic, and a bad run hidden."""
    for approach in ("explain", "blind", "control"):
        generate(own, Selection(per_label=400), endpoint("m"), approach=approach, how=How(quiet=True))
    grade(own, Selection(per_label=400), endpoint("m"), how=How(quiet=True))
    grade(own, Selection(limit=50), endpoint("other"), how=How(quiet=True))
    run_id = own.rows("SELECT run_id FROM runs WHERE command = 'grade' ORDER BY started")[0]["run_id"]
    exclude(own, run_id=run_id, where=None, reason="as if it were bad")


def test_every_version_again_to_the_byte_after_growth_and_compaction(own, tmp_path, model, monkeypatch):
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "standard.system.txt").write_text("Answer in one of three words, inside <think> and <answer>.")
    for n, recipe in enumerate(["excellent", "thirds", "blind", "direct"]):
        build(own, recipe, "d", out=tmp_path / f"first-{n}", prompts=prompts if n == 1 else None)
    shutil.rmtree(prompts)
    before = own.rows("SELECT count(*) AS n FROM raw.traces")[0]["n"]
    grow(own)
    assert own.rows("SELECT count(*) AS n FROM raw.traces")[0]["n"] >= 1.5 * before
    monkeypatch.setattr(store, "COMPACT_ABOVE", 1)
    own.compact()
    build(own, "excellent", "d", out=tmp_path / "last")
    for n, version in enumerate(["1.0.0", "1.1.0", "1.2.0", "1.3.0"]):
        done = rebuild(own, f"d@{version}", out=str(tmp_path / f"again-{n}"))
        assert done.identical and not done.differs
        assert everything(tmp_path / f"again-{n}") == everything(tmp_path / f"first-{n}")
    assert everything(tmp_path / "last") != everything(tmp_path / "first-0")


def test_the_command_says_that_it_is_the_same(own, tmp_path, run, ask_json):
    assert run("build", "excellent", "--name", "d").returncode == 0
    done = run("rebuild", "d@1.0.0", "--out", "again")
    assert done.stdout.splitlines()[0] == "d 1.0.0 -> again: the same bytes"
    told = ask_json("rebuild", "d", "--out", "third")
    assert told["identical"] and told["differs"] == [] and told["version"] == "1.0.0"
    refused = run("rebuild", "d@1.0.0", "--out", "again")
    assert refused.returncode == 1 and "not empty" in refused.stderr


def test_another_writer_gives_the_same_rows_in_other_bytes(own, tmp_path, monkeypatch):
    build(own, "excellent", "d", out=tmp_path / "a")
    monkeypatch.setattr(folders, "GROUP_ROWS", 7)
    done = rebuild(own, "d", out=tmp_path / "b")
    # the card and its twin for machines tell the files' sizes and hashes
    assert not done.identical and {f for f in done.differs if "/" not in f} == {"README.md", "croissant.json"}
    assert all(f.endswith(".parquet") for f in done.differs if "/" in f)
    assert done.row_hash == json.loads(Path("a/manifest.json").read_text())["row_hash"]


def test_what_is_missing_is_said(own, tmp_path):
    build(own, "excellent", "d", out=tmp_path / "a")
    with pytest.raises(VersionError, match=r"no such version.*1\.0\.0"):
        rebuild(own, "d@1.0.1")
    gone = own.files("grades")[0]
    Path(gone).unlink()
    with pytest.raises(VersionError, match="the store as it was cannot be read: .*grades.*gone"):
        rebuild(own, "d@1.0.0", out=tmp_path / "b")
    assert not Path("b").exists()


def test_rows_that_are_no_longer_the_same_are_not_written(own, tmp_path, monkeypatch):
    build(own, "excellent", "d", out=tmp_path / "a")
    monkeypatch.setattr(versions, "row_hash", lambda sides: "another")
    with pytest.raises(VersionError, match="other rows come out now than then"):
        rebuild(own, "d@1.0.0", out=tmp_path / "b")
    assert not Path("b").exists()


def test_the_number_that_is_proposed(own, tmp_path, model, monkeypatch):
    Path("mine.sql").write_text("SELECT trace_id FROM candidates WHERE grade = 'excellent' AND answer = label")
    first = build(own, "mine.sql", "d", out=tmp_path / "a")
    assert first.version == "1.0.0"
    assert not build(own, "mine.sql", "d", out=tmp_path / "a").written, "nothing new: not a folder is looked at"
    grade(own, Selection(per_label=50), endpoint("other"), how=How(quiet=True))
    assert build(own, "mine.sql", "d", out=tmp_path / "b").version == "1.0.1", "the same recipe, other rows"
    Path("mine.sql").write_text("SELECT trace_id FROM candidates WHERE grade = 'good' AND answer = label")
    assert build(own, "mine.sql", "d", out=tmp_path / "c").version == "1.1.0", "another recipe"
    monkeypatch.setattr(versions, "_columns", lambda: {**dict.fromkeys(rows.COLUMNS, "string"), "new": "string"})
    Path("mine.sql").write_text("SELECT trace_id FROM candidates WHERE grade = 'bad' AND answer = label")
    assert build(own, "mine.sql", "d", out=tmp_path / "d").version == "2.0.0", "other columns"
    assert build(own, "mine.sql", "d", out=tmp_path / "e", version="2.5.0").version == "2.5.0"


DIES = """
import os, signal, sys
from curation import versions
from curation.store import Store
versions._record = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
versions.build(Store(sys.argv[1]), "excellent", "d")
"""


def test_a_build_that_was_killed_before_its_row_is_taken_up(own, run, ask_json):
    assert subprocess.run([sys.executable, "-c", DIES, own.place]).returncode == -signal.SIGKILL
    written = everything("d-1.0.0")
    assert written and not own.rows("FROM versions")
    told = ask_json("build", "excellent", "--name", "d")
    assert told["version"] == "1.0.0" and everything("d-1.0.0") == written
    assert own.rows("SELECT count(*) AS n FROM members")[0]["n"] > 0
    assert rebuild(own, "d", out=Path("again")).identical
    states = own.rows("SELECT state FROM runs WHERE command = 'build' ORDER BY started")
    assert [s["state"] for s in states] == ["killed", "done"]


def test_a_folder_that_is_not_what_it_says_is_not_taken_up(own, run):
    assert subprocess.run([sys.executable, "-c", DIES, own.place]).returncode == -signal.SIGKILL
    Path("d-1.0.0/README.md").write_text("something else")
    done = run("build", "excellent", "--name", "d")
    assert done.returncode == 1 and "not empty" in done.stderr and not own.rows("FROM versions")


def test_kill_9_at_any_moment_of_a_build(own):
    """Whenever it strikes, the same command then ends with one version, known to the store."""
    command = [*COMMAND, "build", "excellent", "--name", "d"]
    for seconds in (0.6, 1.2, 1.8, 2.4, 3.0):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(seconds)
        process.kill()
        process.wait()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert own.rows("SELECT version FROM versions") == [{"version": "1.0.0"}]
    assert folders.read(Path("d-1.0.0")) and rebuild(own, "d", out=Path("again")).identical


def test_a_version_that_is_older_than_a_split_comes_out_again_without_it(own, tmp_path, monkeypatch):
    two = ("default", "rpe1_holdout")
    with monkeypatch.context() as patch:
        patch.setattr(versions, "content", partial(versions.content, splits=two))
        build(own, "excellent", "d", out=tmp_path / "a")
    assert "unseen_pert" not in (tmp_path / "a" / "README.md").read_text()
    done = rebuild(own, "d", out=tmp_path / "b")
    assert done.identical and everything("a") == everything("b")
    assert {r["split"] for r in done.rows} == set(two)
