"""The rehearsal as its clients meet it: the real `openai` SDK against the real server, and the benchmark."""

import asyncio
import csv
import gzip
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import openai
import pytest

from curation.rehearsal.form import BREAKS, malformed
from curation.rehearsal.judges import LOTS
from curation.rehearsal.server import BIGGEST, serve
from curation.rehearsal.world import LINES, SHARES, UNCHANGED, the_world, write_benchmark
from curation.rehearsal.writer import ABSTAIN, answer, draws

OPTIONS = "Options: upregulated, downregulated, not differentially expressed."


def client(server, retries=0, kind=openai.OpenAI):
    return kind(base_url=server.base_url, api_key="rehearsal", max_retries=retries, timeout=20)


PERT, GENE = the_world().perts[0], the_world().targets[0]


def chat(n=0, system="Answer in <answer>.", options=OPTIONS, pert=PERT, gene=GENE):
    query = f"({n}) What does knocking down the {pert} gene on the {gene} gene in a single-cell RPE1 cell line do?"
    return [{"role": "system", "content": system}, {"role": "user", "content": f"{query} {options}"}]


def ask(sdk, n=0, model="any/model", **more):
    return sdk.chat.completions.create(model=model, messages=chat(n), **more)


def text(sdk, n=0, **more):
    return ask(sdk, n, **more).choices[0].message.content


def fetch(server, path="/stats", method="GET", body=None, headers=None):
    """Send what no SDK would; return the status and the JSON."""
    line = http.client.HTTPConnection(urlsplit(server.base_url).netloc, timeout=20)
    try:
        line.request(method, path, body, headers or {})
        reply = line.getresponse()
        return reply.status, json.load(reply)
    finally:
        line.close()


# -- answers over HTTP


def test_an_answer_has_all_that_a_completion_has():
    with serve() as server, client(server) as sdk:
        raw = sdk.chat.completions.with_raw_response.create(model="any/model", messages=chat(1))
        found = raw.parse()
    choice = found.choices[0]
    assert choice.finish_reason == "stop" and choice.message.role == "assistant"
    assert PERT in choice.message.content or GENE in choice.message.content
    assert found.model == "any/model" and found.id and found.created
    assert found.usage.prompt_tokens == len("\n".join(m["content"] for m in chat(1))) // 4
    assert found.usage.completion_tokens == len(choice.message.content) // 4
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens
    for what in ("requests", "tokens"):
        limit, left = (int(raw.headers[f"x-ratelimit-{which}-{what}"]) for which in ("limit", "remaining"))
        assert 0 < left < limit


def test_models_say_whose_they_are():
    with serve() as server, client(server) as sdk:
        assert {m.owned_by for m in sdk.models.list()} == {"synthpert-rehearsal"}


def test_the_request_and_the_seed_alone_decide_the_answer():
    def texts(order, **options):
        with serve(**options) as server, client(server) as sdk:
            return {n: text(sdk, n) for n in order}

    first = texts(range(8))
    assert texts(reversed(range(8))) == first
    assert texts(range(8), seed=1) != first
    with serve() as server, client(server) as sdk:
        assert text(sdk, 3) == first[3]
        assert text(sdk, 3, model="another") != first[3]
        assert len({text(sdk, 3, seed=sample) for sample in range(8)}) > 1


def test_a_request_asked_again_is_answered_with_another_sample_the_nth_always_the_same():
    def samples(**options):
        with serve(**options) as server, client(server) as sdk:
            tries = [failure_of(sdk, 3)[1] for _ in range(40)]
        return [said[0].message.content for said in tries if isinstance(said, list)][:6]

    found = samples()
    assert len(set(found)) == 6 and samples() == found
    assert samples(fail=0.3) == found, "a try that failed is no sample"
    assert samples(seed=1) != found


def test_two_hundred_at_once():
    async def ask_all(server):
        async with client(server, kind=openai.AsyncOpenAI) as sdk:
            return await asyncio.gather(*(ask(sdk, n) for n in range(200)))

    with serve(latency=1) as server:
        found = asyncio.run(ask_all(server))
        assert server.stats()["in_flight_max"] > 50
    assert len({f.id for f in found}) == 200


# -- failures


def failure_of(sdk, n):
    try:
        found = ask(sdk, n)
    except openai.APIStatusError as e:
        return type(e), e.status_code
    except openai.APIError as e:
        return type(e), None
    return type(found), getattr(found, "choices", None)


def test_each_way_to_fail_reaches_the_sdk():
    with serve(fail=1.0) as server, client(server) as sdk:
        found = {failure_of(sdk, n) for n in range(80)}
        stats = server.stats()
    assert found == {
        (openai.RateLimitError, 429),
        (openai.InternalServerError, 500),
        (openai.InternalServerError, 503),
        (openai.APIConnectionError, None),
        (str, None),  # HTML: the SDK hands the text on
        (openai.types.chat.ChatCompletion, None),  # no choices
    }
    assert (stats["requests"], stats["failed"], stats["answered"], stats["unique"]) == (80, 80, 0, 80)


def test_a_rate_limit_says_how_long_to_wait():
    def headers(sdk, n):
        try:
            ask(sdk, n)
        except openai.RateLimitError as e:
            assert e.body["type"] == "requests" and e.code == "rate_limit_exceeded"
            return {(k, e.response.headers[k]) for k in ("retry-after", "retry-after-ms") if k in e.response.headers}
        except openai.APIError:
            pass
        return set()

    with serve(fail=1.0) as server, client(server) as sdk:
        said = set().union(*(headers(sdk, n) for n in range(80)))
    assert {v for k, v in said if k == "retry-after"} == {"0", "1"}
    assert any(k == "retry-after-ms" for k, _ in said)


def test_failures_are_of_attempts_so_asking_again_helps():
    with serve(fail=0.3) as server, client(server) as sdk:
        first = [failure_of(sdk, n) for n in range(60)]
        again = [failure_of(sdk, n) for n in range(60)]
        assert first != again and 5 < server.counts["failed"] < 70
    with serve(fail=0.3) as server, client(server) as sdk:
        assert [failure_of(sdk, n)[0] for n in range(60)] == [kind for kind, _ in first]


def test_the_sdks_own_retries_get_through():
    with serve(fail=0.2, seed=2) as server, client(server, retries=8) as sdk, ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda n: ask(sdk, n), range(20)))
        stats = server.stats()
    assert stats["requests"] > 20 and stats["repeated"] == 0
    assert stats["requests"] == stats["answered"] + stats["failed"]
    assert sum(hasattr(f, "choices") and f.choices is not None for f in found) == stats["answered"]


def test_malformed_answers_stay_malformed():
    with serve(malformed=1.0) as server, client(server) as sdk:
        broken = [ask(sdk, n).choices[0] for n in range(60)]
        again = ask(sdk, 5).choices[0]
    with serve(malformed=0.0) as server, client(server) as sdk:
        assert again.message.content not in [text(sdk, 5), text(sdk, 5)]
    with serve() as server, client(server) as sdk:
        whole = [text(sdk, n) for n in range(60)]
    for good, bad in zip(whole, broken, strict=True):
        assert bad.message.content != good
        assert (bad.finish_reason == "length") == good.startswith(bad.message.content)
    assert {b.finish_reason for b in broken} == {"stop", "length"}


# -- counts


def test_stats_tell_repeated_from_retried():
    with serve() as server, client(server) as sdk:
        for n in (1, 2, 2, 3, 3, 3):
            ask(sdk, n)
        status, found = fetch(server, "/stats?ids=1")
    ids = found.pop("ids")
    assert status == 200
    assert found == {"requests": 6, "answered": 6, "failed": 0, "repeated": 3, "unique": 3, "in_flight_max": 1}
    assert [(row["asked"], row["answered"]) for row in ids] == [(1, 1), (2, 2), (3, 3)]
    assert all(len(row["id"]) == 16 and int(row["id"], 16) for row in ids)


def test_the_order_of_a_bodys_keys_makes_no_other_request():
    body = {"model": "m", "messages": chat(), "temperature": 1}
    with serve() as server:
        for b in (body, dict(reversed(body.items()))):
            fetch(server, "/v1/chat/completions", "POST", json.dumps(b))
        assert server.stats()["unique"] == 1 and server.stats()["repeated"] == 1


def test_a_client_that_left_was_not_answered():
    body = json.dumps({"model": "any/model", "messages": chat()})
    with serve(latency=0.5) as server, client(server) as sdk:
        impatient = http.client.HTTPConnection(urlsplit(server.base_url).netloc)
        impatient.request("POST", "/v1/chat/completions", body)
        while not server.in_flight:
            time.sleep(0.01)
        impatient.close()
        ask(sdk)
        stats = server.stats()
    assert (stats["failed"], stats["answered"], stats["repeated"], stats["unique"]) == (1, 1, 0, 1)


# -- bad requests


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"[" * 500_000, b"9" * 5_000, b'{"model": "m"}',
        b'{"model": "m", "messages": []}', b'{"model": "m", "messages": "hi"}', b'{"model": "m", "messages": [1]}',
        b'{"messages": [{}]}', b'{"model": "m", "messages": [{}], "stream": true}',
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused_for_good(body):
    with serve() as server:
        status, found = fetch(server, "/v1/chat/completions", "POST", body)
        assert server.stats()["requests"] == 0
    assert status == 400
    assert found["error"]["message"] and found["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "messages",
    [
        [{}], [{"role": 1, "content": 2}], [{"role": "user", "content": None}],
        [{"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url"}, 3]}],
        [{"role": "user", "content": "\ud800 knocking down {x} on {y} a single-cell {0}"}],
        [{"role": "user", "content": "knocking down the " * 100_000}],
    ],
)  # fmt: skip
def test_odd_messages_are_answered(messages):
    with serve() as server:
        status, found = fetch(server, "/v1/chat/completions", "POST", json.dumps({"model": "m", "messages": messages}))
    assert status == 200 and "</answer>" in found["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("status", "method", "path", "body"),
    [
        (404, "GET", "/", None),
        (404, "POST", "/v1/embeddings", b"{}"),
        (405, "GET", "/v1/chat/completions", None),
        (413, "POST", "/v1/chat/completions", b" " * (BIGGEST + 1)),
        (413, "POST", "/v1/chat/completions", gzip.compress(b" " * (BIGGEST + 1))),
    ],
)
def test_aiohttps_refusals_have_openais_shape(status, method, path, body):
    packed = {"Content-Encoding": "gzip"} if body and body[:2] == b"\x1f\x8b" else {}
    with serve() as server:
        got, found = fetch(server, path, method, body, packed)
        assert fetch(server)[0] == 200
    assert got == status and found["error"]["message"] and found["error"]["type"]


def test_streaming_is_refused_clearly():
    with serve() as server, client(server) as sdk, pytest.raises(openai.BadRequestError, match="stream"):
        ask(sdk, stream=True)


# -- starting and stopping


def test_a_stopped_server_frees_its_port_and_thread():
    before = threading.active_count()
    with serve() as server:
        port = urlsplit(server.base_url).port
        with pytest.raises(OSError), serve(port=port):
            pass
    assert threading.active_count() == before
    with serve(port=port) as server, client(server) as sdk:
        assert text(sdk)


def test_it_stops_while_asked():
    with ThreadPoolExecutor(1) as pool:
        with serve(latency=60) as server:
            waiting = pool.submit(failure_of, client(server), 0)
            while not server.in_flight:
                time.sleep(0.01)
        assert waiting.result() == (openai.APIConnectionError, None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_forever_says_how_to_use_it_and_ends_quietly(number):
    code = "from curation.rehearsal.server import run_forever; run_forever(latency=0.01)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    line = process.stdout.readline().decode()
    said = dict(pair.split("=", 1) for pair in line.split()[1:])
    with openai.OpenAI(base_url=said["OPENAI_BASE_URL"], api_key=said["OPENAI_API_KEY"]) as sdk:
        assert text(sdk)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=20)
    assert (line[:7], process.returncode, out, err) == ("export ", 0, b"", b"")


def test_run_forever_on_a_port_in_use():
    from curation.rehearsal.server import run_forever

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        run_forever(taken.getsockname()[1])


# -- the words


def shares(messages, n=2000):
    found = Counter(answer(messages, seed).split("><")[1].split(">")[1].split("<")[0] for seed in range(n))
    return {value: count / n for value, count in found.items()}


def test_an_outcome_given_is_mostly_the_answer():
    for label in SHARES:
        found = shares(chat(system=f"Explain.\nMeasured outcome: {label}\nWrite <think>."))
        assert found.pop(label) == pytest.approx(0.93, abs=0.03)
        assert found.pop(ABSTAIN) == pytest.approx(0.03, abs=0.02)
        assert set(found) == set(SHARES) - {label}


def test_blind_answers_are_among_the_options():
    real = {"pert": "NEDD4", "gene": "PCGF6"}
    assert shares(chat(**real)) == pytest.approx(SHARES, abs=0.03)
    assert set(shares(chat())) == set(shares(chat(options=f"Choose only one: {OPTIONS}"))) == set(SHARES)
    for options in (
        "Only 'upregulated' or 'DOWNREGULATED' are options.",
        f"It is not {UNCHANGED}; choose only\nupregulated or downregulated.",
    ):
        two = shares(chat(options=options, **real))
        assert two == pytest.approx({"upregulated": 13 / 28, "downregulated": 15 / 28}, abs=0.04)


def test_a_critic_grades_what_it_cannot_judge_by_lot():
    assert shares(chat(system="<reasoning></reasoning><evaluation></evaluation>")) == pytest.approx(LOTS, abs=0.04)


def test_reasonings_are_varied_and_of_three_to_seven_sentences():
    whys = [answer(chat(), seed).split("</think>")[0].removeprefix("<think>") for seed in range(200)]
    assert len(set(whys)) > 190
    assert {len(the_world().clauses(why)) for why in whys} <= {3, 4, 5, 6, 7}
    assert all(GENE in why and "{" not in why for why in whys)


def test_each_break_breaks():
    for system in ("", "<evaluation>"):
        whole = answer(chat(system=system), 0)
        broken = {malformed(whole, draws(n)) for n in range(400)}
        assert whole not in broken and len(broken) > len(BREAKS)


# -- the benchmark


def rows(folder, line, kind):
    with open(folder / f"{line.lower()}-{kind}.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_benchmark_is_in_perturbqas_format(tmp_path):
    write_benchmark(tmp_path)
    assert json.loads((tmp_path / "source.json").read_text()) == {"source": "rehearsal", "licence": "CC0-1.0"}
    for line in LINES:
        de = rows(tmp_path, line, "de")
        assert list(de[0]) == ["pert", "gene", "label", "split"]
        assert len({(r["pert"], r["gene"]) for r in de}) == len(de)
        pairs = [(r["pert"], r["gene"], r["split"]) for r in de if r["label"] == "1"]
        directions = rows(tmp_path, line, "dir")
        assert [(r["pert"], r["gene"], r["split"]) for r in directions] == pairs
        assert {r["label"] for r in directions} == {"0", "1"}
        sides = {(r["pert"], r["split"]) for r in de}
        assert len(sides) == len({pert for pert, _ in sides})


def test_the_benchmark_is_large_enough_for_a_demo(tmp_path):
    write_benchmark(tmp_path / "new" / "folder")
    de = {line: rows(tmp_path / "new" / "folder", line, "de") for line in LINES}
    every = [r for found in de.values() for r in found]
    tested = [r for r in every if r["split"] == "test"]
    assert (len(every), len(tested), len(de["RPE1"])) == (3_456, 648, 864)
    assert all(name.startswith("QX") for r in every for name in (r["pert"], r["gene"]))


def test_one_seed_gives_the_same_bytes(tmp_path):
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_benchmark(tmp_path / folder, seed)
    a, b, c = ({f.name: f.read_bytes() for f in (tmp_path / n).iterdir()} for n in "abc")
    assert a == b and a != c and len(a) == 9
