"""Exclude: what is hidden is gone from every view, is asked again, and comes back when told."""

import shutil

import pytest
from kit.experts import add
from kit.peer import completion, peer

from curation.asking.requests import endpoint
from curation.asking.stage import How
from curation.errors import BadInput, RefusedSQL
from curation.exclusions import exclude
from curation.grades import grade
from curation.schema import LABELS
from curation.selection import Selection
from curation.store import Store
from curation.traces import generate

QUIET = How(quiet=True)


@pytest.fixture
def own(filled, tmp_path):
    shutil.copytree(filled, tmp_path / "store")
    return Store(tmp_path / "store")


def counts(store):
    views = ("responses", "traces", "grades", "candidates", "rejected", "requests", "critics")
    return {v: store.rows(f"SELECT count(*) AS n FROM {v}")[0]["n"] for v in views}


def test_a_hidden_run_is_gone_from_every_view_asked_again_and_comes_back(store, model, run, ask_json):
    generate(store, Selection(limit=20), endpoint("m"), how=QUIET)
    generate(store, Selection(limit=30), endpoint("m"), how=QUIET)
    before = counts(store)
    bad = store.rows("SELECT run_id FROM runs WHERE command = 'generate' ORDER BY started")[0]["run_id"]
    assert ask_json("exclude", "--run", bad, "--reason", "wrong model") == {
        "kind": "run", "n": 1, "hidden": True, "reason": "wrong model",
    }  # fmt: skip
    assert counts(store)["traces"] == counts(store)["responses"] == 10
    assert store.rows("SELECT sum(calls) AS n FROM spend")[0]["n"] == 30, "what was paid stays paid"
    again = generate(store, Selection(limit=30), endpoint("m"), how=QUIET)
    assert (again.asked, again.cached) == (20, 10)
    assert counts(store)["traces"] == 30
    assert ask_json("exclude", "--run", bad, "--reason", "it was right", "--undo")["hidden"] is False
    assert counts(store)["traces"] == before["traces"] == 30
    reasons = store.rows("SELECT reason FROM raw.exclusions ORDER BY created")
    assert [r["reason"] for r in reasons] == ["wrong model", "it was right"]


SAYS = {"m": "<think>So it is.</think><answer>upregulated</answer>", "c": "<evaluation>good</evaluation>"}
GRADED = "SELECT count(*) AS n, count(grade) AS graded FROM traces"


@pytest.fixture
def same_words(store, monkeypatch):
    """A store, while its model says the same each time."""
    with peer(lambda n, body: (200, completion(SAYS[body["model"]]), {})) as (url, _):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        yield store


def test_the_same_words_are_graded_again_after_those_before_them_were_hidden(same_words):
    for hidden in range(3):
        generate(same_words, Selection(limit=5), endpoint("m"), how=QUIET)
        done = grade(same_words, Selection(limit=5), endpoint("c"), how=QUIET)
        assert (done.asked, done.cached) == (5, 0)
        assert same_words.rows(GRADED) == [{"n": 5, "graded": 5}]
        if hidden < 2:
            bad = same_words.rows("SELECT DISTINCT run_id FROM traces")[0]["run_id"]
            exclude(same_words, run_id=bad, reason="once more")


def test_traces_that_are_left_out_move_no_copy(store, monkeypatch):
    """So each trace is asked for itself, whichever are asked for first."""

    def say(n, body):
        trace = f"<think>So.</think><answer>{LABELS[n % 3]}</answer>"
        return 200, completion(SAYS["c"] if body["model"] == "c" else trace), {}

    with peer(say) as (url, _):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        generate(store, Selection(limit=6), endpoint("m"), samples=3, how=QUIET._replace(concurrency=1))
        right = grade(store, Selection(limit=6), endpoint("c"), correct_only=True, how=QUIET)
        rest = grade(store, Selection(limit=6), endpoint("c"), how=QUIET)
    assert (right.asked, rest.asked, rest.cached) == (6, 12, 6)
    assert store.rows(GRADED) == [{"n": 18, "graded": 18}]
    samples = {r["sample"] for r in store.rows("SELECT sample FROM responses WHERE stage = 'grade'")}
    assert samples == {0, 1000, 2000}, "the first is asked as if it were alone"


def test_a_hidden_pull_takes_its_verdicts_along(reviewed, tmp_path):
    own = Store(shutil.copytree(reviewed, tmp_path / "store"))
    rated = "SELECT sum(clauses_rated)::INT AS n FROM traces"
    before = own.rows(rated)
    pull = own.rows("SELECT run_id FROM verdicts LIMIT 1")[0]["run_id"]
    add(own, "runs", [{"run_id": pull, "command": "annotate pull"}])
    exclude(own, run_id=pull, reason="the wrong team")
    assert own.rows(rated) == [{"n": 0}] and own.rows("SELECT count(*) AS n FROM verdicts") == [{"n": 0}]
    exclude(own, run_id=pull, reason="the right one after all", undo=True)
    assert own.rows(rated) == before and before[0]["n"] > 100


def test_traces_that_fit_a_condition_are_hidden_with_their_grades(own):
    before = counts(own)
    n = own.rows("SELECT count(*) AS n FROM traces WHERE grade = 'good'")[0]["n"]
    assert exclude(own, run_id=None, where="grade = 'good'", reason="a trial").n == n > 0
    assert own.rows("SELECT count(*) AS n FROM traces WHERE grade = 'good'") == [{"n": 0}]
    assert counts(own)["traces"] == before["traces"] - n
    assert counts(own)["grades"] == before["grades"] - n
    assert exclude(own, run_id=None, where="true", reason="back", undo=True).n == n
    assert counts(own) == before


@pytest.mark.parametrize(
    "options, words",
    [
        ({"run_id": "nope", "where": None}, "no such run"),
        ({"run_id": None, "where": None}, "one of --run"),
        ({"run_id": "a", "where": "true"}, "one of --run"),
        ({"run_id": None, "where": "false"}, "no trace fits"),
    ],
)
def test_what_cannot_be_hidden_is_said(own, options, words):
    with pytest.raises(BadInput, match=words):
        exclude(own, **options, reason="x")


@pytest.mark.parametrize(
    "where", ["grad = 'x'", "true) FROM traces; DROP VIEW traces; --", "true; SELECT 1", "", "1 = "]
)
def test_a_condition_that_is_none_is_refused(own, where):
    before = own.snapshot()
    with pytest.raises(RefusedSQL):
        exclude(own, run_id=None, where=where, reason="x")
    assert own.snapshot() == before
