"""A budget is never exceeded, whatever comes back; and a run that it stops says how to go on."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import COMMAND
from kit.peer import completion, peer

from curation.asking.budget import Budget
from curation.asking.replies import Reply
from curation.asking.requests import Request, endpoint
from curation.errors import BadInput
from curation.prompting import load
from curation.rehearsal.server import serve

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
    assert most == pytest.approx((size + 32) * 2e-6 + 1_000 * 8e-6)
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
    assert by_price - budget.most(target(long, max_tokens=10_000), ASKED) == pytest.approx(40_000 * 8e-6)
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
        os.environ["OPENAI_BASE_URL"] = server.base_url
        command = [*COMMAND, "generate", "--limit", "60", "--concurrency", "4", "--model", "m"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        while server.stats()["answered"] < 8:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 3 and "the same command goes on" in err.splitlines()[-1]
        assert store.rows("SELECT count(*) AS n FROM traces")[0]["n"] == server.stats()["answered"]
