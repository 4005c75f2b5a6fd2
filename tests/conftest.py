"""What the tests share: the command as a user runs it, a made-up benchmark, a scripted model on loopback."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from kit.experts import a_round, judge
from kit.forked import command
from kit.once import copied, once

from annotation.server import serving
from annotation.server.environment import interpreter
from annotation.server.users import User
from curation.asking.requests import endpoint
from curation.asking.stage import How
from curation.checks.running import check
from curation.examples import ingest
from curation.grades import grade
from curation.rehearsal.server import serve
from curation.rehearsal.world import write_benchmark
from curation.selection import Selection
from curation.store import Store
from curation.traces import generate
from curation.versions import build

EXPERTS = {"ada": (0.95, 0.0), "ben": (0.9, 0.1), "cyd": (0.8, 0.2)}  # accuracy, bias to TRUE
KEY = "sk-secret-canary-5f1e"
COMMAND = [sys.executable, "-m", "synthpert"]
# the annotation server's environment takes a minute and a package index to make: once for all runs of the tests, and
# only where it is asked for; elsewhere the demo is without a review
SERVER = os.environ.get("SERVER_TESTS") == "required"
os.environ |= {"XDG_DATA_HOME": f"{sys.prefix}/share"} if SERVER else {"XDG_DATA_HOME": os.devnull}
# read as huggingface_hub is imported, which is before any test: what is not there is told at once, not after retries
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Every test in a folder of its own, without the developer's settings."""
    for name in ("OPENAI_BASE_URL", "SYNTHPERT_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("ARGILLA_API_URL", "ARGILLA_API_KEY", "ARGILLA_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run():
    """Run the command as a user does; returns the finished process. Its imports were made before: see kit/forked.py."""
    return command


@pytest.fixture
def start():
    """Run the command as a user does, from nothing; returns the finished process."""

    def go(*args, **options):
        return subprocess.run([*COMMAND, *map(str, args)], capture_output=True, text=True, timeout=300, **options)

    return go


@pytest.fixture
def ask_json(run):
    """Run a command with --json that must succeed; returns its result."""

    def go(*args, **options):
        done = run("--json", *args, **options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return go


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """One demo; its folder, which tests copy before they write to it, and what it printed."""

    def make(folder):
        # the user's own endpoint must not be asked, and their own settings must not matter
        own = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "sk-own"}
        env = {**os.environ, **own, "PYTHONPATH": str(Path(__file__).parent.parent)}
        done = subprocess.run([*COMMAND, "demo"], capture_output=True, text=True, cwd=folder, env=env)
        assert done.returncode == 0, done.stderr
        (folder / "printed.json").write_text(json.dumps({"stdout": done.stdout, "stderr": done.stderr}))

    folder = once(tmp_path_factory, "demo", make)
    return folder / "demo", SimpleNamespace(**json.loads((folder / "printed.json").read_text()))


@pytest.fixture(scope="session")
def benchmark(tmp_path_factory):
    """The folder of a tiny made-up benchmark."""
    return once(tmp_path_factory, "benchmark", write_benchmark)


@pytest.fixture
def model(monkeypatch):
    """A scripted model that does not fail; OPENAI_BASE_URL points to it."""
    with serve() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield server


@pytest.fixture(scope="session")
def ingested(benchmark, tmp_path_factory):
    """The folder of a store that holds the made-up benchmark; tests copy it before they write to it."""
    return once(tmp_path_factory, "ingested", lambda folder: ingest(Store(folder, create=True), benchmark))


@pytest.fixture
def store(ingested, tmp_path):
    """A store that holds the made-up benchmark, to write to."""
    return Store(copied(ingested, tmp_path / "store"))


@pytest.fixture(scope="session")
def filled(ingested, tmp_path_factory):
    """A store with traces of both approaches, graded; tests copy it before they write to it."""
    return once(tmp_path_factory, "filled", lambda folder: _fill(Store(copied(ingested, folder))))


def _fill(store):
    some = Selection(per_label=150)
    with serve(malformed=0.05) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_BASE_URL", server.base_url)
        patch.setenv("OPENAI_API_KEY", KEY)
        for approach in ("explain", "blind", "control"):
            generate(store, some, endpoint("m"), approach=approach, how=How(quiet=True))
        generate(store, Selection(per_label=60), endpoint("m"), approach="blind", samples=4, how=How(quiet=True))
        grade(store, some, endpoint("m"), how=How(quiet=True))
    check(store, quiet=True)


@pytest.fixture(scope="session")
def dataset(ingested, tmp_path_factory):
    """The folder of a small version of the dataset `traces`; tests copy it before they write to it."""
    return once(tmp_path_factory, "dataset", lambda folder: _publish(ingested, folder)) / "traces-1.0.0"


def _publish(ingested, folder):
    store, some = Store(copied(ingested, folder / "store")), Selection(per_label=60)
    with serve() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_BASE_URL", server.base_url)
        patch.setenv("OPENAI_API_KEY", KEY)
        generate(store, some, endpoint("m"), approach="explain", how=How(quiet=True))
        grade(store, some, endpoint("m"), how=How(quiet=True))
    build(store, "excellent", "traces", out=folder / "traces-1.0.0")


@pytest.fixture(scope="session")
def direct(ingested, tmp_path_factory):
    """A folder with a store and the dataset `all` of all its train examples; tests copy it before they write to it."""

    def make(folder):
        build(Store(copied(ingested, folder / "store")), "direct", "all", out=folder / "all")

    return once(tmp_path_factory, "direct", make)


@pytest.fixture(scope="session")
def perturbqa():
    """The folder of the real PerturbQA files, where the machine has them."""
    if not os.environ.get("PERTURBQA_DIR"):
        pytest.skip("PERTURBQA_DIR is not set: the real benchmark is not on this machine")
    return Path(os.environ["PERTURBQA_DIR"])


@pytest.fixture(scope="session")
def real_store(perturbqa, tmp_path_factory):
    """The folder of a store that holds the real benchmark; tests copy it before they write to it."""
    return once(tmp_path_factory, "real", lambda folder: ingest(Store(folder, create=True), perturbqa))


@pytest.fixture(scope="session")
def reviewed(filled, tmp_path_factory):
    """The filled store where three scripted experts have judged; tests copy it before they write to it."""

    def make(folder):
        store = Store(copied(filled, folder))
        a_round(store)
        some = "SELECT trace_id FROM traces WHERE valid AND approach = 'explain' ORDER BY trace_id LIMIT 150"
        judge(store, EXPERTS, [r["trace_id"] for r in store.rows(some)], share=0.8)

    return once(tmp_path_factory, "reviewed", make)


@pytest.fixture(scope="session")
def server_environment():
    """Make the annotation server's environment, where it is asked for."""
    if not SERVER:
        pytest.skip("SERVER_TESTS=required runs the tests against a real annotation server")
    return interpreter()


@pytest.fixture(scope="session")
def argilla(server_environment, tmp_path_factory):
    """A running annotation server with the owner `owner` and the annotators `ana` and `ben`."""
    users = [User("owner", "owner"), User("ana", "annotator"), User("ben", "annotator")]
    with serving(tmp_path_factory.mktemp("argilla") / "data", users) as served:
        yield served


def pytest_collection_finish():
    """What is loaded by now stays: a collection of garbage looks at a million objects no more."""
    gc.collect()
    gc.freeze()
