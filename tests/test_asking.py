"""Asking: what may pass is tried again, what comes is kept, what is answered is never asked again."""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import time
from pathlib import Path

import orjson
import pytest
from conftest import COMMAND, KEY
from kit.midst import generating
from kit.peer import GOOD, completion, peer

from curation.asking import work
from curation.asking.requests import endpoint
from curation.asking.stage import How
from curation.errors import EndpointError
from curation.examples import ingest
from curation.grades import grade
from curation.rehearsal.server import serve
from curation.selection import Selection, select
from curation.store import Store
from curation.traces import generate, shown_outcome

QUIET = How(quiet=True, timeout=1)
ONE = Selection(limit=1)


def error(status, message="no", headers=None, code=None):
    return status, {"error": {"message": message, "code": code}}, headers or {}


@pytest.fixture(autouse=True)
def no_long_pauses(monkeypatch):
    monkeypatch.setattr(work, "PAUSE", 0.01)


@pytest.fixture
def against(monkeypatch):
    """Generate against a peer that says these things in turn, the last for ever; always at one address."""
    port = 0

    def go(store, *said, selection=ONE, how=QUIET, **more):
        nonlocal port
        with peer(lambda n, body: said[min(n, len(said)) - 1], port=port) as (url, asked):
            port = int(url.split(":")[2].split("/")[0])
            monkeypatch.setenv("OPENAI_BASE_URL", url)
            return generate(store, selection, endpoint("m"), how=how, **more), asked

    return go


PASSING = {
    "rate_limit": error(429, headers={"Retry-After": "0"}),
    "server_error": error(503),
    "connection": "cut",
    "timeout": "hang",
    "not_a_completion": (200, b"<html>busy</html>", {"Content-Type": "text/html"}),
}


@pytest.mark.parametrize("kind", PASSING)
def test_what_may_pass_is_tried_again_within_the_run(store, against, kind):
    done, asked = against(store, PASSING[kind], PASSING[kind], PASSING[kind], (200, GOOD, {}))
    assert (done.asked, done.answered, done.failed, len(asked)) == (1, 1, 0, 4)
    rows = store.rows("SELECT failure, attempt, text FROM responses ORDER BY attempt")
    assert [r["failure"] for r in rows] == [kind] * 3 + [None]
    assert [r["attempt"] for r in rows] == [1, 2, 3, 4]
    assert store.rows("SELECT answer FROM traces") == [{"answer": "upregulated"}]


@pytest.mark.parametrize("body", [b"null", b"[]", b'{"choices": []}', b'{"choices": [{"message": null}]}', b"", b"7"])
def test_a_200_that_is_no_completion_is_no_answer(store, against, body):
    done, _ = against(store, (200, body, {}), (200, GOOD, {}))
    assert done.answered == 1
    assert store.rows("SELECT count(*) AS n FROM responses WHERE failure = 'not_a_completion'") == [{"n": 1}]


def test_what_still_fails_is_a_row_and_is_asked_again_by_the_next_run(store, against):
    done, asked = against(store, error(500, "out of order"))
    assert (done.failed, done.answered, len(asked)) == (1, 0, work.TRIES)
    assert work.TRIES > 3
    rows = store.rows("SELECT failure, detail, http_status FROM responses")
    assert [(r["failure"], r["http_status"]) for r in rows] == [("server_error", 500)] * work.TRIES
    assert "out of order" in rows[0]["detail"]
    assert store.sql("FROM traces").num_rows == 0
    assert against(store, (200, GOOD, {}))[0].answered == 1


def test_a_refusal_says_nothing_of_its_row(store, against, monkeypatch):
    """It is tried more often than what fails for reasons of its own."""
    monkeypatch.setattr(work, "PAUSE", 0.001)
    times = work.TRIES + 2
    done, asked = against(store, *[error(429, headers={"Retry-After": "0"})] * times, (200, GOOD, {}))
    assert (done.failed, done.answered, len(asked)) == (0, 1, times + 1)


def test_a_server_that_refuses_everything_ends_the_run_and_fails_no_row(store, against, monkeypatch):
    monkeypatch.setattr(work, "PAUSE", 0.001)
    monkeypatch.setattr(work, "STARVED", 0.5)
    done, asked = against(store, error(429, "try again tomorrow"), selection=Selection(limit=3))
    assert (done.failed, done.answered, done.left) == (0, 0, 3)
    assert "refused all for" in done.stopped and "try again tomorrow" in done.stopped
    assert against(store, (200, GOOD, {}), selection=Selection(limit=3))[0].answered == 3


def test_who_asks_everything_to_wait_for_hours_ends_the_run(store, against):
    how = How(quiet=True, concurrency=4)
    done, asked = against(store, error(429, headers={"Retry-After": "3600"}), selection=Selection(limit=40), how=how)
    assert "asks to wait 3,600 s" in done.stopped
    assert done.failed < 10 and done.failed + done.left == 40, "the others are not even tried"


def test_retry_after_is_obeyed(store, against):
    _, asked = against(store, error(429, headers={"Retry-After": "1"}), (200, GOOD, {}))
    assert asked[1]["time"] - asked[0]["time"] >= 1
    _, asked = against(
        store, error(429, headers={"retry-after-ms": "300"}), (200, GOOD, {}), selection=Selection(limit=2)
    )
    assert asked[1]["time"] - asked[0]["time"] >= 0.3


def test_a_wait_that_no_run_can_wait_for_is_left_to_the_next(store, against):
    done, asked = against(store, error(429, headers={"Retry-After": "1e9"}))
    assert (done.failed, len(asked)) == (1, 1)
    assert against(store, (200, GOOD, {}))[0].answered == 1


@pytest.mark.parametrize("where", ["models", "chat"])
def test_a_redirect_is_not_followed(store, monkeypatch, where):
    with peer(lambda n, body: (200, GOOD, {})) as (other, taken):
        away = 307, {}, {"Location": other + "/chat/completions"}
        with peer(lambda n, body: away, models=away if where == "models" else None) as (url, _):
            monkeypatch.setenv("OPENAI_BASE_URL", url)
            with pytest.raises(EndpointError, match="sends us on to http://127.0.0.1"):
                generate(store, ONE, endpoint("m"), how=QUIET)
    assert taken == []


def test_a_server_that_drips_is_a_timeout(store, monkeypatch):
    import socket
    import threading

    listening = socket.create_server(("127.0.0.1", 0))

    def drip():
        while True:
            connection, _ = listening.accept()
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
            if connection.recv(65536).startswith(b"GET"):
                connection.sendall(head.replace(b"100000", b"2") + b"{}")
                continue

            def slowly(connection=connection, head=head):
                with contextlib.suppress(OSError):
                    connection.sendall(head)
                    for _ in range(100):
                        connection.sendall(b" ")
                        time.sleep(0.1)

            threading.Thread(target=slowly, daemon=True).start()

    threading.Thread(target=drip, daemon=True).start()
    monkeypatch.setattr(work, "TRIES", 1)
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{listening.getsockname()[1]}/v1")
    began = time.monotonic()
    assert generate(store, ONE, endpoint("m"), how=QUIET).failed == 1
    assert time.monotonic() - began < 8
    assert store.rows("SELECT failure FROM responses") == [{"failure": "timeout"}]
    listening.close()


HOPELESS = {
    "bad_request": error(400),
    "too_long": error(400, code="context_length_exceeded"),
    "content_filter": (200, completion("", choice={"finish_reason": "content_filter"}), {}),
    "too_large": (200, completion("x" * 17 * 2**20), {}),
}


@pytest.mark.parametrize("kind", HOPELESS)
def test_what_would_fail_again_is_not_asked_again_unless_told(store, against, kind):
    done, asked = against(store, HOPELESS[kind])
    assert (done.failed, len(asked)) == (1, 1)
    done, asked = against(store, (200, GOOD, {}))
    assert (done.failed, done.asked, asked) == (1, 0, [])
    done, asked = against(store, (200, GOOD, {}), how=QUIET._replace(retry_failed=True))
    assert (done.answered, len(asked)) == (1, 1)
    assert store.rows("SELECT answered, failure FROM requests") == [{"answered": True, "failure": None}]


FATAL = {
    "refused": error(401, f"Incorrect API key provided: {KEY}"),
    "unknown_model": error(404, "The model does not exist"),
    "quota": error(429, "You exceeded your current quota", code="insufficient_quota"),
    "quota: HTTP 402": error(402, "Insufficient Balance", code="invalid_request_error"),
}


@pytest.mark.parametrize("kind", FATAL)
def test_where_going_on_is_senseless_the_run_stops_and_keeps_what_came(store, against, kind):
    with pytest.raises(EndpointError, match=kind) as stopped:
        against(store, (200, GOOD, {}), FATAL[kind], selection=Selection(limit=50), how=QUIET._replace(concurrency=2))
    assert KEY not in str(stopped.value)
    counts = store.rows("SELECT count(*) AS n, count(*) FILTER (answered) AS answered FROM requests")[0]
    assert counts["n"] <= 4 and counts["answered"] >= 1
    assert store.rows("SELECT state FROM runs WHERE command = 'generate'") == [{"state": "failed"}]
    done, _ = against(store, (200, GOOD, {}), selection=Selection(limit=50))
    assert done.cached == counts["answered"] and done.answered == 50 - done.cached


ODD = {
    "empty": (completion(""), "empty_output", None),
    "null": (completion(None), "empty_output", None),
    "a refusal": (completion(None, message={"refusal": "I'm sorry, I can't help."}), "refusal", None),
    "cut": (completion("<think>So far", choice={"finish_reason": "length"}), "truncated", None),
    "half a surrogate pair": (completion("<think>a\ud800b</think><answer>up</answer>"), None, "a\ufffdb"),
    "in parts": (
        completion([{"type": "text", "text": "<think>a</think>"}, {"text": "<answer>up</answer>"}]),
        None,
        "a",
    ),
    "counts that are none": (GOOD | {"usage": {"prompt_tokens": 10**30, "completion_tokens": "x"}}, None, "Because."),
    "reasoning apart": (completion("<answer>up</answer>", message={"reasoning_content": "Why."}), None, "Why."),
    "reasoning by its other name": (completion("<answer>up</answer>", message={"reasoning": "Why."}), None, "Why."),
    "reasoning by both, one of them empty": (
        completion("<answer>up</answer>", message={"reasoning_content": "", "reasoning": "Why."}),
        None,
        "Why.",
    ),
    "a megabyte": (completion("<think>" + "x " * 2**19 + "</think><answer>up</answer>"), None, ("x " * 2**19).strip()),
    "a nul": (completion("<think>a\0b</think><answer>up</answer>"), None, "a\0b"),
}


@pytest.mark.parametrize("case", ODD)
def test_a_message_is_an_answer_however_odd(store, against, case):
    body, reason, reasoning = ODD[case]
    done, _ = against(store, (200, body, {}))
    assert (done.answered, done.failed) == (1, 0)
    trace = store.rows("SELECT reason, reasoning FROM traces")[0]
    assert trace["reason"] == reason
    if reasoning is not None:
        assert trace["reasoning"] == reasoning
    assert against(store, (200, GOOD, {}))[0].cached == 1


def test_an_abstention_is_a_kept_answer(store, against):
    against(store, (200, completion("<think>Hm.</think><answer>I do not know</answer>"), {}))
    assert store.rows("SELECT answer, valid, correct FROM traces") == [
        {"answer": "I do not know", "valid": True, "correct": False}
    ]


def test_nobody_there_is_one_line(store, run, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    done = run("generate", "--model", "m", "--limit", 1)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "nobody answers at http://127.0.0.1:9/v1" in done.stderr
    monkeypatch.setenv("OPENAI_BASE_URL", "http://example.invalid/v1")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert "OPENAI_API_KEY is not set" in run("generate", "--model", "m").stderr


# -- the cache key is the request


def test_what_changes_the_answer_is_asked_again_and_nothing_else(store, tmp_path):
    ten = Selection(limit=10)
    with peer(lambda n, body: (200, GOOD, {})) as (url, asked):
        os.environ["OPENAI_BASE_URL"] = url
        first = generate(store, ten, endpoint("m"), how=QUIET)
        assert (first.asked, first.cached) == (10, 0)
        assert generate(store, ten, endpoint("m"), how=QUIET).cached == 10
        assert generate(store, Selection(limit=11), endpoint("m"), how=QUIET).asked == 1
        assert generate(store, ten, endpoint("other"), how=QUIET).asked == 10
        assert generate(store, ten, endpoint("m", {"temperature": 0.5}), how=QUIET).asked == 10
        assert generate(store, ten, endpoint("m"), approach="blind", how=QUIET).asked == 10
        assert generate(store, ten, endpoint("m"), samples=2, how=QUIET).asked == 10
        (tmp_path / "own").mkdir()
        (tmp_path / "own" / "blind.system.txt").write_text("Say it.")
        own = generate(store, ten, endpoint("m"), approach="blind", prompts=tmp_path / "own", how=QUIET)
        assert own.asked == 10
        assert asked[-1]["body"]["messages"][0] == {"role": "system", "content": "Say it."}
        assert [a["body"].get("temperature") for a in asked].count(0.5) == 10
    ids = "SELECT count(*) AS n, count(DISTINCT request_id) AS ids FROM responses"
    assert len({*store.rows(ids)[0].values()}) == 1


def test_a_store_keeps_apart_what_a_rehearsal_and_a_model_said(store, against, model):
    generate(store, ONE, endpoint("m"), how=QUIET)
    done, _ = against(store, (200, GOOD, {}))
    assert (done.asked, done.cached) == (1, 0)
    found = store.rows("SELECT provider, usd FROM responses ORDER BY provider")
    assert found[0]["provider"].startswith("127.0.0.1:") and found[0]["usd"] is None
    assert found[1] == {"provider": "rehearsal", "usd": 0.0}


def test_a_model_in_the_config_has_its_own_address_price_and_params(store, run, tmp_path):
    with peer(lambda n, body: (200, GOOD, {})) as (url, asked):
        Path("synthpert.toml").write_text(f"""
            [models.critic-1]
            base_url = "{url}"
            provider = "ours"
            api_key_env = "OTHER_KEY"
            params = {{ reasoning_effort = "low" }}
            price = {{ input = 1.0, output = 2.0 }}
        """)
        done = run(
            "--json", "generate", "--model", "critic-1", "--limit", 3, env={**os.environ, "OTHER_KEY": "k-other"}
        )
    assert json.loads(done.stdout)["usd"] == pytest.approx(3 * (10 * 1 + 20 * 2) / 1e6)
    assert asked[0]["body"]["reasoning_effort"] == "low"
    assert asked[0]["headers"]["Authorization"] == "Bearer k-other"
    assert store.rows("SELECT DISTINCT provider FROM responses") == [{"provider": "ours"}]


# -- the set


def test_sets_are_nested_and_shards_part_them(store):
    def ids(**options):
        return select(store, Selection(**options))["example_id"].to_pylist()

    whole = ids()
    assert ids(limit=50) == whole[:50] and ids(limit=20) == whole[:20]
    assert ids(fraction=0.25) == whole[: -(-len(whole) // 4)]
    assert sorted(whole) == sorted(sum((ids(shard=(i, 3)) for i in (1, 2, 3)), []))
    assert ids(shard=(0, 3)) == ids(shard=(3, 3))
    assert ids(seed=1) != whole and sorted(ids(seed=1)) == sorted(whole)
    labels = select(store, Selection(per_label=7))["label"].to_pylist()
    assert sorted(labels.count(label) for label in set(labels)) == [7, 7, 7]
    assert set(select(store, Selection(cell_line="HepG2"))["cell_line"].to_pylist()) == {"HepG2"}
    assert "RPE1" not in select(store, Selection(split="rpe1_holdout"))["cell_line"].to_pylist()
    test = {r["example_id"] for r in store.rows("FROM splits WHERE split = 'default' AND side = 'test'")}
    assert not test & set(whole)


def test_a_control_shows_a_wrong_outcome_and_blind_none(filled):
    shown = Store(filled).rows("SELECT approach, outcome_shown = label AS fits, count(*) AS n FROM traces GROUP BY ALL")
    assert {(r["approach"], r["fits"]) for r in shown} == {("explain", True), ("blind", None), ("control", False)}
    assert shown_outcome("blind", {"label": "upregulated"}) is None


def test_controls_are_never_candidates(filled):
    assert Store(filled).rows("SELECT DISTINCT approach FROM candidates ORDER BY 1") == [
        {"approach": "blind"}, {"approach": "explain"},
    ]  # fmt: skip


def test_the_critic_sees_neither_outcome_nor_answer(filled):
    rows = Store(filled).rows("SELECT messages, t.answer, t.label FROM responses AS r JOIN traces AS t "
                              "ON t.trace_id = r.subject_id WHERE stage = 'grade'")  # fmt: skip
    assert len(rows) > 800
    for row in rows:
        assert "<answer>" not in row["messages"][1]["content"]
        assert "Measured outcome" not in str(row["messages"])
        assert "knocking down" in row["messages"][1]["content"]


def test_correct_only_saves_the_rest(store, model):
    generate(store, Selection(limit=100), endpoint("m"), approach="blind", how=QUIET)
    right = store.rows("SELECT count(*) AS n FROM traces WHERE valid AND correct")[0]["n"]
    assert grade(store, Selection(), endpoint("m"), correct_only=True, how=QUIET).asked == right
    valid = store.rows("SELECT count(*) AS n FROM traces WHERE valid")[0]["n"]
    rest = grade(store, Selection(), endpoint("m"), how=QUIET)
    assert (rest.asked, rest.cached) == (valid - right, right) and valid > right


def test_it_works_inside_a_running_event_loop(store, model):
    async def notebook():
        return generate(store, ONE, endpoint("m"), how=QUIET)

    assert asyncio.run(notebook()).answered == 1


@pytest.mark.parametrize("kind", ["refused", "unknown_model", "quota"])
def test_where_going_on_is_senseless_nothing_in_flight_is_waited_for(store, monkeypatch, kind):
    """One of many is refused while the others hang: the run ends within a second, and what came by then is kept."""
    status, code = {"refused": (401, None), "unknown_model": (404, "x"), "quota": (429, "insufficient_quota")}[kind]
    times = {}

    def say(n, body):
        if n <= 3:
            return 200, GOOD, {}
        if n == 8:
            times["refused"] = time.monotonic()
            return error(status, code=code)
        time.sleep(0.3 if n < 8 else 1.5)
        return "hang"

    with peer(say) as (url, _):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        with pytest.raises(EndpointError, match=kind):
            generate(store, Selection(limit=40), endpoint("m"), how=How(quiet=True, timeout=60, concurrency=10))
        assert time.monotonic() - times["refused"] < 3, "far from the minute that a request may take"
    assert store.rows("SELECT count(*) AS n FROM traces") == [{"n": 3}]


# -- stopped and killed


def body_hash(row):
    body = {"messages": row["messages"], "model": row["model"]}
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def answered_so_far(place):
    """What is durable at this moment: the answered rows of the table and of the journals, by request."""
    store, found = Store(place), {}
    for row in store.rows("SELECT request_id, messages, model FROM responses WHERE failure IS NULL"):
        found[row["request_id"]] = body_hash(row)
    for line in b"".join(f.read_bytes() for f in store.journals.glob("*.jsonl")).splitlines():
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if not row.get("failure"):
            found[row["request_id"]] = body_hash(row)
    return found


def killed_twice(place, server, *command, kill_at):
    """Run a command, killed with -9 as the server has answered so many, then to its end.

    Returns how often the server was asked for what was durable before the command that asked it.
    """
    asked_again = 0
    for at in (*kill_at, None):
        durable = answered_so_far(place)
        before = {r["id"]: r["asked"] for r in server.stats(ids=True)["ids"]}
        process = subprocess.Popen([*COMMAND, "--store", place, *command], stderr=subprocess.DEVNULL)
        while at and server.stats()["answered"] < at and process.poll() is None:
            time.sleep(0.01)
        if at:
            process.kill()
        status = process.wait()
        assert status == (-signal.SIGKILL if at else 0)
        after = {r["id"]: r["asked"] for r in server.stats(ids=True)["ids"]}
        asked_again += sum(after.get(h, 0) > before.get(h, 0) for h in durable.values())
    return asked_again


@pytest.mark.parametrize("data", ["benchmark", "perturbqa"])
def test_killed_twice_every_example_is_answered_once(data, request, tmp_path):
    """500 of each approach, graded, with failures and malformed answers, killed with -9 on the way."""
    folder = request.getfixturevalue(data)
    place = str(tmp_path / "store")
    ingest(Store(place, create=True), folder)
    half, flags = 250, ("--concurrency", "16", "--model", "m")
    with serve(fail=0.1, malformed=0.1, latency=0.02) as server:
        os.environ["OPENAI_BASE_URL"] = server.base_url
        for approach in ("explain", "blind"):
            start = server.stats()["answered"]
            again = killed_twice(
                place, server, "generate", "--limit", "500", "--approach", approach, *flags,
                kill_at=(start + half // 2, start + half),
            )  # fmt: skip
            assert again == 0, "what was answered and durable was asked again"
        start = server.stats()["answered"]
        again = killed_twice(place, server, "grade", *flags, kill_at=(start + half, start + 2 * half))
        assert again == 0
        stats = server.stats()
    store = Store(place)
    assert store.rows(
        "SELECT prompt, count(DISTINCT subject_id) AS examples, count(*) AS n FROM responses "
        "WHERE failure IS NULL AND stage = 'generate' GROUP BY 1 ORDER BY 1"
    ) == [{"prompt": p, "examples": 500, "n": 500} for p in ("blind", "explain")]
    assert store.rows("SELECT count(*) AS n FROM traces") == [{"n": 1000}]
    valid = store.rows("SELECT count(*) AS n FROM traces WHERE valid")[0]["n"]
    counts = "SELECT count(*) AS n, count(DISTINCT trace_id) AS ids FROM raw.grades"
    assert store.rows(counts) == [{"n": valid, "ids": valid}]
    assert store.rows("SELECT count(*) AS n FROM responses WHERE failure IS NULL")[0]["n"] == 1000 + valid
    # what the server sent and nobody lived to receive: at most what was in flight at each of the six kills
    assert stats["answered"] - (1000 + valid) <= 6 * 16
    states = {r["state"] for r in store.rows("SELECT state FROM runs WHERE command IN ('generate', 'grade')")}
    assert states == {"done", "killed"}


def test_two_at_once_do_not_pay_for_the_same_twice(store):
    with serve(latency=0.2) as server:
        os.environ["OPENAI_BASE_URL"] = server.base_url
        command = [*COMMAND, "--json", "generate", "--limit", "400", "--concurrency", "8", "--model", "m"]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in "ab"]
        done = [json.loads(p.communicate(timeout=60)[0]) for p in both]
        assert server.stats()["answered"] < 1.25 * 400, "in flight, and the last second's, cannot be known"
    assert [d["left"] for d in done] == [0, 0] and min(d["answered"] for d in done) > 50
    assert store.rows("SELECT count(*) AS n FROM traces") == [{"n": 400}]


def test_ctrl_c_keeps_what_came_and_says_how_to_go_on(store, ask_json):
    with serve(latency=0.3) as server:
        process = generating(server, "answered", 8)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 3
        assert "Traceback" not in err and "the same command goes on" in err.splitlines()[-1]
        came = store.rows("SELECT count(*) AS n FROM responses WHERE failure IS NULL")[0]["n"]
        assert came == server.stats()["answered"] >= 8, "what was in flight was let finish"
        assert store.rows("SELECT count(*) AS n FROM traces")[0]["n"] == came
        assert store.rows("SELECT state FROM runs WHERE command = 'generate'") == [{"state": "stopped"}]
        done = ask_json("generate", "--limit", 60, "--concurrency", 40, "--model", "m")
        assert (done["cached"], done["answered"], done["left"], done["stopped"]) == (came, 60 - came, 0, None)
        assert server.stats()["repeated"] == 0


def test_a_second_ctrl_c_gives_up_what_is_in_flight(store):
    with serve(latency=60) as server:
        process = generating(server, "requests", 4)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None, "the first lets it finish"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)  # far from the minute that an answer takes
        assert process.returncode == 3
        assert "Traceback" not in err and "the same command goes on" in err.splitlines()[-1]
        assert server.stats()["requests"] == 4
    assert store.rows("SELECT state FROM runs WHERE command = 'generate'") == [{"state": "stopped"}]


def test_more_connections_than_files_are_refused_with_what_would_do(store, start, model):
    """Who follows the advice is taken at their word, also where two models are asked at once."""

    def go(files, concurrency, *more):
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))  # noqa: E731
        command = ("generate", "--model", "m", "--limit", 150, "--concurrency", concurrency, *more)
        return start(*command, preexec_fn=limit)

    for more, wanted in (((), 100), (("--grade", "c"), 50)):
        done = go(300, 150, *more)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        most = re.search(r"may open 300 files \(ulimit -Hn\), so (\d+) at most", done.stderr)
        assert int(most[1]) == wanted
        assert go(300, wanted, *more).returncode == 0
    done = go(200, 1)
    assert done.returncode == 1 and "needs 200 beside the connections: raise the limit" in done.stderr


def test_the_key_is_nowhere(store, run, tmp_path):
    """Not even where a server repeats it in its errors."""
    with peer(lambda n, body: error(400, f"bad key {KEY}") if n % 5 == 0 else (200, GOOD, {})) as (url, asked):
        os.environ["OPENAI_BASE_URL"] = url
        done = [
            run("generate", "--model", "m", "--limit", 40),
            run("grade", "--model", "m", "--limit", 40),
            run("sql", "FROM responses"),
            run("build", "direct", "--name", "d"),
        ]
    assert [d.returncode for d in done] == [0, 0, 0, 0], [d.stderr for d in done]
    assert asked[0]["headers"]["Authorization"] == f"Bearer {KEY}"
    assert all(KEY not in d.stdout + d.stderr for d in done)
    files = [f for f in tmp_path.rglob("*") if f.is_file()]
    assert len(files) > 20 and not [f for f in files if KEY.encode() in f.read_bytes()]
    assert store.rows("SELECT count(*) AS n FROM responses WHERE contains(detail, $key)", {"key": KEY}) == [{"n": 0}]


RUBBISH = {
    "short": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{",
    "negative": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
    "no HTTP": b"hello\r\n\r\n",
    "no header": b"HTTP/1.1 200 OK\r\n\xff\xfe\r\n\r\n{}",
    "nested": b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"[" * 200_000,
}


@pytest.mark.parametrize("kind", RUBBISH)
def test_rubbish_is_a_failed_call_and_no_end_of_the_run(store, monkeypatch, kind):
    """The list of models is rubbish too."""
    import socket
    import threading

    listening = socket.create_server(("127.0.0.1", 0))

    def serve_rubbish():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                connection.recv(65536)
                connection.sendall(RUBBISH[kind])
                connection.close()

    threading.Thread(target=serve_rubbish, daemon=True).start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{listening.getsockname()[1]}/v1")
    monkeypatch.setattr(work, "TRIES", 2)
    try:
        done = generate(store, Selection(limit=3), endpoint("m"), how=QUIET)
        assert (done.failed, done.answered) == (3, 0)
        assert store.rows("SELECT count(*) AS n FROM responses WHERE failure IS NOT NULL") == [{"n": 6}]
    except EndpointError as e:  # where nothing that comes is HTTP there is nobody to ask
        assert "nobody answers" in str(e)
    listening.close()


@pytest.mark.parametrize("key", [None, "none", "test", "local"])
def test_an_answer_is_kept_to_the_letter_whatever_word_the_key_is(store, against, monkeypatch, key):
    """As with a server of one's own, which needs no key: the word may stand in any answer."""
    monkeypatch.setenv("OPENAI_API_KEY", key or "")
    reasoning = "Locally none of the latest tests of nonessential genes fits; nonetheless local."
    said = {"finish_reason": "stop none"}
    against(store, (200, completion("", message={"reasoning_content": reasoning}, choice=said), {}))
    assert store.rows("SELECT thinking, finish_reason FROM responses") == [{"thinking": reasoning, **said}]
    against(store, (200, completion(f"<think>{reasoning}</think>"), {}), selection=Selection(limit=1, seed=1))
    assert store.rows("FROM responses WHERE contains(text, $said)", {"said": reasoning})


def test_a_short_key_is_taken_out_of_what_is_said_of_a_failure(store, against, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k-other")
    against(store, error(400, "no such key: k-other"))
    assert store.rows("SELECT detail FROM responses") == [{"detail": "HTTP 400: no such key: ***"}]


def test_a_key_that_a_server_repeats_in_an_answer_is_not_kept(store, against):
    against(store, (200, completion(f"<think>Your key is {KEY}.</think><answer>up</answer>"), {}))
    assert store.rows("SELECT reasoning FROM traces") == [{"reasoning": "Your key is ***."}]
    assert not [f for f in Path(store.place).rglob("*") if f.is_file() and KEY.encode() in f.read_bytes()]


def test_a_critic_is_asked_about_what_was_being_read_as_the_generator_ended(store, monkeypatch):
    from curation import overlap

    def slowly(store, *wanted, **more):
        time.sleep(2.0)  # the generator has its last answer meanwhile
        return found(store, *wanted, **more)

    found = overlap.valid_traces
    monkeypatch.setattr(overlap, "valid_traces", slowly)
    with serve(latency=0.3) as server:
        os.environ["OPENAI_BASE_URL"] = server.base_url
        how = How(quiet=True, concurrency=4)
        made, graded = overlap.generate_and_grade(store, Selection(limit=36), endpoint("m"), endpoint("c"), how=how)
    assert made.answered == graded.answered == 36


@pytest.mark.parametrize("where", ["models", "chat"])
def test_a_key_that_a_redirect_repeats_is_not_told(store, monkeypatch, where):
    from curation.asking.replies import Raw

    async def onward(wire, *body):
        return Raw(302, {"location": f"http://elsewhere/?k={KEY}"}, b"")

    monkeypatch.setattr("curation.asking.direct.Direct." + {"models": "models", "chat": "post"}[where], onward)
    with peer(lambda n, body: (200, GOOD, {})) as (url, _):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        with pytest.raises(EndpointError, match="elsewhere") as e:
            generate(store, Selection(limit=1), endpoint("m"), how=QUIET)
    assert KEY not in str(e.value)


def test_a_small_answer_that_unpacks_to_a_large_one_is_read_to_the_bound(store, against, monkeypatch):
    import gzip

    monkeypatch.setattr("curation.asking.direct.LARGEST", 2**20)
    monkeypatch.setattr("curation.asking.replies.LARGEST", 2**20)
    packed = gzip.compress(b" " * 2**24)
    done, _ = against(store, (200, packed, {"Content-Encoding": "gzip"}))
    assert (done.failed, done.failures) == (1, {"too_large": 1})


def test_more_cached_tokens_than_there_are_cost_nothing_below_nothing():
    from curation.asking.replies import usd

    priced = endpoint("m", keyless=True)._replace(price={"input": 1.0, "cached": 0.1, "output": 2.0})
    assert usd({"tokens_in": 10, "tokens_out": 0, "tokens_cached": 10**12}, priced) == 1e-6
