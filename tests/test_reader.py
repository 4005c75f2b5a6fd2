"""Reading answers as they reach the store: each once, whoever else reads at the same time."""

import pytest

from curation.asking.asked import Asked
from curation.asking.journal import Journal
from curation.exclusions import exclude
from curation.runs import run
from curation.traces import TRACES

ANSWER = "<think>{}</think><answer>upregulated</answer>"


@pytest.fixture
def example(store):
    return store.rows("SELECT example_id FROM examples LIMIT 1")[0]["example_id"]


@pytest.fixture
def answered(store, example):
    """Bring answers of a run to the store, and hand them to `take`."""

    def bring(run, *requests, take=len, **more):
        journal = Journal(store, run)
        for n, request in enumerate(requests):
            columns = {"request_id": request, "stage": "generate", "attempt": n, "text": ANSWER.format(f"{run} {n}")}
            journal.write({**columns, "subject_id": example, "prompt": "explain", "model": "m", **more})
        journal.absorb(take)
        journal.close()

    return bring


def reasonings(store):
    return {r["request_id"]: r["reasoning"] for r in store.rows("SELECT request_id, reasoning FROM raw.traces")}


def test_what_has_just_come_is_read_without_looking_back(store, answered):
    read = TRACES.follow(store)
    answered("one", "a", "b", take=read)
    answered("two", "c", take=read)
    assert reasonings(store) == {"a": "one 0", "b": "one 1", "c": "two 0"}
    assert TRACES.read(store) == 0


def test_failures_and_other_stages_are_not_read(store, answered):
    read = TRACES.follow(store)
    answered("one", "a", take=read, failure="timeout")
    answered("two", "b", take=read, stage="grade")
    assert reasonings(store) == {}


def test_of_two_runs_that_paid_for_one_request_the_first_that_is_read_counts(store, answered):
    mine, theirs = TRACES.follow(store), TRACES.follow(store)
    answered("mine", "a", take=mine)
    answered("theirs", "a", "b", take=theirs)
    answered("mine", "b", "c", take=mine)
    assert reasonings(store) == {"a": "mine 0", "b": "theirs 1", "c": "mine 1"}
    assert store.sql("FROM raw.traces").num_rows == 3


def test_an_answer_that_comes_long_after_anothers_was_read_is_left(store, answered):
    """Between the two this run has read others, which nobody else had."""
    mine = TRACES.follow(store)
    answered("theirs", "slow", take=TRACES.follow(store))
    answered("mine", "a", take=mine)
    answered("mine", "slow", take=mine)
    assert reasonings(store) == {"slow": "theirs 0", "a": "mine 0"}
    assert store.sql("FROM raw.traces").num_rows == 2


def test_another_reader_that_wins_the_commit_is_seen(store, answered, monkeypatch):
    """It reads the same request between this one's look and its commit."""
    mine, theirs = TRACES.follow(store), TRACES.follow(store)
    answered("mine", "a", take=mine)
    rows, first = type(TRACES).rows, [True]

    def overtaken(self, *given):
        found = rows(self, *given)
        if first.pop() if first else False:
            answered("theirs", "b", take=theirs)
        return found

    monkeypatch.setattr(type(TRACES), "rows", overtaken)
    answered("mine", "b", "c", take=mine)
    assert reasonings(store) == {"a": "mine 0", "b": "theirs 0", "c": "mine 1"}
    assert store.sql("FROM raw.traces").num_rows == 3


def test_what_a_hidden_run_was_answered_is_read_anew(store, answered):
    with run(store, "generate", {}) as hidden:
        answered(hidden.id, "a", take=TRACES.follow(store))
    exclude(store, run_id=hidden.id, reason="bad")
    answered("new", "a", take=TRACES.follow(store))
    assert [r["reasoning"] for r in store.rows("SELECT reasoning FROM traces")] == ["new 0"]


def test_what_was_left_unread_is_read_by_a_later_run(store, answered):
    answered("killed", "a")
    read = TRACES.follow(store)
    assert reasonings(store) == {"a": "killed 0"}
    answered("new", "b", take=read)
    assert reasonings(store) == {"a": "killed 0", "b": "new 0"} and TRACES.read(store) == 0


def test_what_a_run_was_not_shown_is_read_at_its_end(store, answered):
    read = TRACES.follow(store)
    answered("one", "a", "b")
    read.end(Asked(answered=0))
    assert reasonings(store) == {}, "another run's, which reads them itself"
    read.end(Asked(answered=2))
    assert reasonings(store) == {"a": "one 0", "b": "one 1"}
    answered("two", "c")
    read.end(None)
    assert TRACES.read(store) == 0, "a run that ended by an error"
