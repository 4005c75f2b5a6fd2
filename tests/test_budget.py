"""A budget is never exceeded, whatever comes back; and a run that it stops says how to go on."""

import json
import random
import signal
from pathlib import Path

import orjson
import pytest
from kit.midst import generating
from kit.peer import completion, peer

from curation import traces
from curation.asking import work
from curation.asking.budget import Budget
from curation.asking.engine import find_provider
from curation.asking.replies import Raw, Reply, read, settled
from curation.asking.requests import Request, endpoint
from curation.asking.stage import How
from curation.errors import BadInput
from curation.prompting import load
from curation.rehearsal.server import serve
from curation.selection import Selection

PROMPT = load("standard")
ASKED = Request("generate", "x", PROMPT, PROMPT.messages(pert="A", gene="B", cell_line="K562"))
PRICE = {"input": 2.0, "cached": 0.5, "output": 8.0}


def target(price=PRICE, **params):
    return endpoint("m", params, base_url="http://127.0.0.1:1/v1")._replace(price=price)


def priced(**more):
    text = ", ".join(f"{k} = {v}" for k, v in (PRICE | more).items())
    Path("synthpert.toml").write_text(f"[models.m]\nprice = {{ {text} }}\n")


def test_what_a_request_costs_at_most_is_reserved_and_then_settled():
    budget, model = Budget(0.02), target(max_completion_tokens=1_000)
    most = budget.most(model, ASKED)
    size = sum(len(m["content"].encode()) for m in ASKED.messages)
    assert most == pytest.approx((size + 32 + len('{"max_completion_tokens":1000}')) * 2e-6 + 1_000 * 8e-6)
    taken = 0
    while budget.reserve(most):
        taken += 1
    assert taken == int(0.02 / most) and not budget.final()
    budget.settle(most, Reply({"usd": 0.0001}))
    assert budget.reserve(most) and not budget.reserve(most)
    budget.settle(most, Reply({"failure": "server_error", "usd": None}))  # a refusal costs nothing
    assert budget.spent == pytest.approx(0.0001)
    budget.settle(most, Reply({"failure": "timeout", "usd": None}))  # nobody knows: it may have cost the most
    assert budget.spent == pytest.approx(0.0001 + most)


def test_parameters_that_are_read_as_input_are_in_what_a_request_may_cost():
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"description": "é" * 1_000}}}
    plain, more = (Budget(1.0).most(target(max_tokens=5, **p), ASKED) for p in ({}, {"response_format": schema}))
    assert more - plain > 2_000 * 2e-6


@pytest.mark.parametrize(
    ("raw", "cost"),
    [
        (Raw(200, {}, orjson.dumps(completion("x", usage=None, choice={"finish_reason": "content_filter"}))), 1.0),
        (Raw(200, {}, orjson.dumps(completion("x", choice={"finish_reason": "content_filter"}))), 180e-6),
        (Raw(400, {}, b'{"error": {"code": "content_filter"}}'), 1.0),
        (Raw(408, {}, b"{}"), 1.0),
        (Raw(504, {}, b"<html>Gateway time-out</html>"), 1.0),
        (Raw(502, {}, b"{}"), 0.0),
        (Raw(429, {}, b"{}"), 0.0),
        (Raw(400, {}, b"{}"), 0.0),
    ],
)
def test_what_the_model_may_have_worked_for_counts_as_the_most(raw, cost):
    budget = Budget(10.0)
    assert budget.reserve(1.0)
    budget.settle(1.0, settled(read(raw), target(), 1.0))
    assert budget.spent == pytest.approx(cost)


@pytest.mark.parametrize("usd", [float("nan"), float("inf"), -1.0])
def test_a_budget_that_is_no_sum_is_refused(usd):
    with pytest.raises(BadInput, match="--budget-usd"):
        Budget(usd)


def test_what_is_no_sum_is_one_line(store, run, model):
    done = run("generate", "--model", "m", "--limit", 3, "--budget-usd", "inf")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and "--budget-usd inf" in done.stderr
    for odd in ("nan", "inf", "-1"):
        priced(output=odd)
        done = run("generate", "--model", "m", "--limit", 3, "--budget-usd", "1")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1) and "models.m.price.output" in done.stderr


def test_a_request_that_never_left_costs_nothing(store, monkeypatch):
    """A server that is gone after its first answer spends no budget."""
    monkeypatch.setattr(work, "PAUSE", 0.001)
    with peer(lambda n, body: (200, completion("x"), {})) as (url, _):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        model = find_provider(endpoint("m", {"max_tokens": 1_000})._replace(price=PRICE))
    monkeypatch.setattr(traces, "find_provider", lambda target: target)
    most = Budget(1.0).most(model, ASKED)
    done = traces.generate(store, Selection(limit=5), model, how=How(quiet=True, budget_usd=3 * most, concurrency=2))
    assert store.rows("SELECT DISTINCT failure FROM responses") == [{"failure": "unreachable"}]
    assert "--budget-usd" not in (done.stopped or "")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (target({}, max_tokens=5), "the price of m at 127.0.0.1:1 is unknown"),
        (target(), "nothing bounds an answer of m"),
        (target(max_tokens=-5), "nothing bounds an answer of m"),
    ],
)
def test_a_budget_that_could_not_be_kept_is_refused(model, words):
    with pytest.raises(BadInput, match=words):
        Budget(1.0).check(model)
    Budget(None).check(model)
    Budget(None, 5).check(model)


def test_the_longest_answer_comes_from_the_parameters_or_the_price():
    budget, long = Budget(1.0), PRICE | {"max_output": 50_000}
    by_price = budget.most(target(long), ASKED)
    assert by_price - budget.most(target(long, max_tokens=10_000), ASKED) == pytest.approx(40_000 * 8e-6, rel=1e-3)
    assert budget.most(target(long, max_tokens=10_000, n=3), ASKED) > budget.most(
        target(long, max_tokens=10_000), ASKED
    )


def test_no_dollar_over_the_budget_and_the_same_command_goes_on(store, run, monkeypatch):
    """By the server's own count: what it was asked never could cost more than was allowed."""
    priced(max_output=400)
    rng, usd = random.Random(0), []

    def say(n, body):
        out = rng.randrange(1, 401)
        sent = sum(len(m["content"].encode()) for m in body["messages"])
        usd.append(((sent // 3) * PRICE["input"] + out * PRICE["output"]) / 1e6)
        usage = {"prompt_tokens": sent // 3, "completion_tokens": out}
        return 200, completion("<think>So.</think><answer>upregulated</answer>", usage=usage), {}

    with peer(say) as (url, _):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        command = ("--json", "generate", "--model", "m", "--limit", 120, "--concurrency", 16)
        done = run(*command, "--budget-usd", "0.1")
        told = json.loads(done.stdout)
        assert done.returncode == 3 and "--budget-usd 0.1" in done.stderr.splitlines()[-1]
        assert "the same command goes on" in done.stderr.splitlines()[-1]
        assert sum(usd) <= 0.1 and told["usd"] == pytest.approx(sum(usd))
        assert sum(usd) > 0.08, "what is left is less than one request may cost"
        assert 0 < told["left"] < 120 and told["answered"] == len(usd)
        first = len(usd)
        rest = json.loads(run(*command, "--budget-usd", "5").stdout)
        assert (rest["cached"], rest["left"], len(usd)) == (first, 0, 120)
    assert store.rows("SELECT usd FROM spend")[0]["usd"] == pytest.approx(sum(usd)), "counted once over both runs"


def test_a_number_of_requests_is_a_limit_too(store, run, model):
    command = ("--json", "generate", "--model", "m", "--limit", 40, "--concurrency", 8, "--max-requests", 25)
    done = run(*command)
    assert done.returncode == 3 and "--max-requests 25 reached: 15 traces are left" in done.stderr
    assert model.stats()["requests"] == 25
    assert run(*command).returncode == 0 and model.stats()["requests"] == 40


def test_a_budget_for_a_model_without_a_price_is_one_line(store, run, monkeypatch):
    with peer(lambda n, body: (200, completion("x"), {})) as (url, asked):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        done = run("generate", "--model", "m", "--limit", 3, "--budget-usd", 1)
        assert done.returncode == 1 and "--budget-usd: the price of m" in done.stderr and asked == []
        assert done.stderr.count("\n") == 1


def test_sigterm_lets_what_is_in_flight_finish(store):
    with serve(latency=0.3) as server:
        process = generating(server, "answered", 8)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 3 and "the same command goes on" in err.splitlines()[-1]
        assert store.rows("SELECT count(*) AS n FROM traces")[0]["n"] == server.stats()["answered"]
