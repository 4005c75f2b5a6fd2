"""One model's requests: what is of the server is told from what is of a row, and nothing in flight is thrown away."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kit.peer import GOOD, completion, peer

from curation.asking import keeper, work
from curation.asking.requests import endpoint
from curation.asking.stage import How
from curation.errors import EndpointError, StoreError
from curation.overlap import generate_and_grade
from curation.rehearsal.server import serve
from curation.selection import Selection
from curation.store import Store
from curation.traces import generate

GRADE = completion("<evaluation>good</evaluation>")


@pytest.fixture(autouse=True)
def no_long_pauses(monkeypatch):
    monkeypatch.setattr(work, "PAUSE", 0.01)


@pytest.fixture
def ask(store, monkeypatch):
    """Generate for so many examples against a peer; its address stays the same."""
    port = 0

    def go(say, n=40, concurrency=8):
        nonlocal port
        with peer(say, port=port) as (url, asked):
            port = int(url.split(":")[2].split("/")[0])
            monkeypatch.setenv("OPENAI_BASE_URL", url)
            done = generate(store, Selection(limit=n), endpoint("m"), how=How(concurrency, quiet=True))
            return done, len(asked)

    return go


def refusal(status, message="no", code=None):
    return status, {"error": {"message": message, "code": code}}, {}


def good(n, body):
    return 200, GOOD, {}


# -- a server that is gone


@pytest.mark.parametrize("gone", ["cut", refusal(500, "worker died"), (200, b"<html>maintenance</html>", {})])
def test_a_server_that_is_gone_is_asked_ever_more_seldom_and_fails_no_row(ask, monkeypatch, gone):
    monkeypatch.setattr(work, "STARVED", 4.0)
    done, asked = ask(lambda n, body: gone if n > 5 else good(n, body), n=200)
    assert "has answered nothing for 4 s" in done.stopped and done.gone
    assert (done.answered, done.failed, done.left) == (5, 0, 195)
    assert asked < 100, "some failures, what was in flight, and one each after 1, 2 and 4 s; not 200 times six"
    assert ask(good, n=200)[0].answered == 195


def test_a_few_requests_that_always_fail_are_no_server_that_is_gone(ask):
    """As the last that are left, they fail among themselves."""
    done, asked = ask(lambda n, body: refusal(500, "out of range") if n > 10 else good(n, body), n=14, concurrency=1)
    assert (done.answered, done.failed, done.left, asked) == (10, 4, 0, 10 + 4 * work.TRIES)


def test_when_it_is_back_all_goes_on_at_once(ask):
    down = time.monotonic()

    def say(n, body):
        return refusal(502) if n > 5 and time.monotonic() - down < 2.5 else good(n, body)

    done, _ = ask(say, n=200)
    assert (done.answered, done.stopped, done.gone) == (200, None, None)


# -- what holds for every request, and what for one


def test_what_every_request_is_refused_for_ends_the_run(ask, store):
    with pytest.raises(EndpointError, match="bad_request: HTTP 400: unknown parameter: top_q"):
        ask(lambda n, body: refusal(400, "unknown parameter: top_q"), n=400)
    sent = store.rows("SELECT count(*) AS n FROM requests")[0]["n"]
    assert work.ALIKE <= sent < work.ALIKE + 20


def test_what_some_requests_are_refused_for_does_not(ask):
    done, _ = ask(lambda n, body: good(n, body) if n % 10 == 0 else refusal(400, "odd prompt"), n=100, concurrency=1)
    assert (done.failed, done.answered, done.stopped) == (90, 10, None)


def test_a_prompt_that_is_forbidden_is_a_failure_of_its_own_and_a_key_that_is_ends_the_run(ask):
    done, _ = ask(lambda n, body: refusal(403, "moderated") if n == 1 else good(n, body), n=20)
    assert (done.failed, done.answered, done.failures) == (1, 19, {"refused": 1})
    with pytest.raises(EndpointError, match="moderated"):
        ask(lambda n, body: refusal(403, "moderated"), n=60)
    assert ask(good, n=60)[0].left == 0, "it is asked again"


def test_what_is_paid_and_in_flight_as_the_quota_ends_is_kept(ask, store):
    """Answers take 1 s: after the refusal those in flight have twice that time."""

    def say(n, body):
        if n == 20:
            return refusal(429, "You exceeded your current quota", "insufficient_quota")
        time.sleep(1)
        return good(n, body)

    with pytest.raises(EndpointError, match="quota"):
        ask(say, n=60)
    counts = store.rows("SELECT count(*) AS n, count(*) FILTER (answered) AS answered FROM requests")[0]
    assert counts["answered"] == counts["n"] - 1 >= 19


# -- two at once


def test_what_another_run_was_answered_meanwhile_is_not_asked_by_one_that_waits_for_room(store, monkeypatch):
    """The first has sent what its rate allows and holds the rest at its door; the second has a rate of its own."""
    Path("synthpert.toml").write_text("[models.m]\nrequests_per_minute = 20\n")
    how = How(concurrency=40, quiet=True)

    def say(n, body):
        time.sleep(1 if n > 20 else 0)
        return good(n, body)

    with peer(say) as (url, asked), ThreadPoolExecutor() as beside:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        first = beside.submit(generate, store, Selection(limit=26), endpoint("m"), how=how)
        while len(asked) < 20:
            time.sleep(0.01)
        second = generate(Store(store.place), Selection(limit=26), endpoint("m"), how=how)
        assert (first.result().left, second.left) == (0, 0)
    assert len(asked) <= 27, "the one that was let through meanwhile"


def test_an_error_of_one_stage_lets_what_the_other_has_in_flight_come_back(store, monkeypatch):
    monkeypatch.setattr(keeper, "ABSORB_FIRST", 0.5)
    answered = []

    def say(n, body):
        if body["model"] == "c":
            time.sleep(1.5)
            answered.append(n)
            return 200, GRADE, {}
        time.sleep(0 if n < 8 else 2)
        return good(n, body)

    def broken(self, responses):
        if answered:
            raise StoreError("a full disk, say")
        self.read(responses)
        self.take()

    monkeypatch.setattr("curation.overlap.Feed.more", broken)
    with peer(say) as (url, asked):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        with pytest.raises(StoreError, match="a full disk"):
            generate_and_grade(store, Selection(limit=30), endpoint("m"), endpoint("c"), how=How(8, quiet=True))
    sent = sum(a["body"]["model"] == "c" for a in asked)
    assert sent and store.rows("SELECT count(*) AS n FROM responses WHERE stage = 'grade'") == [{"n": sent}]


NOTEBOOK = """
import asyncio
from curation.asking.requests import endpoint
from curation.asking.stage import How
from curation.rehearsal.server import serve
from curation.selection import Selection
from curation.store import Store
from curation.traces import generate

async def cell():
    return generate(Store("store"), Selection(limit=200), endpoint("m"), how=How(4, quiet=True))

done = asyncio.new_event_loop().run_until_complete(cell())
print(done.answered, done.left, done.stopped)
"""


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_in_a_notebook_is_one(store, monkeypatch, times):
    """The first lets what is in flight finish, the second gives it up; no thread asks on behind the cell's back."""
    with serve(latency=1 if times == 1 else 60) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        cell = subprocess.Popen([sys.executable, "-c", NOTEBOOK], stdout=subprocess.PIPE, text=True)
        while server.stats()["requests"] < 4:
            time.sleep(0.01)
        for _ in range(times):
            cell.send_signal(signal.SIGINT)
            time.sleep(0.5)
        said, _ = cell.communicate(timeout=30)
        answered = server.stats()["answered"]
    assert said.split() == [str(answered), str(200 - answered), "interrupted"]
    assert (answered > 0) == (times == 1)
