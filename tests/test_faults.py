"""All that goes wrong at once: 5,000 requests to a server of many faults, by a client that is killed many times."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest
from kit.faulty import FIRST, LASTING, PRICE, faulty

from curation.asking.replies import PASSING
from curation.examples import ingest
from curation.store import Store

EXAMPLES, KILLS, IN_FLIGHT = 5_000, 30, 60
# short pauses, so that thousands of retries take a minute; all else is as it is
CLIENT = "from curation.asking import work; work.PAUSE = 0.02; import synthpert; synthpert.main()"


@pytest.fixture
def large(tmp_path):
    """A store of 5,000 examples."""
    rows = [f"P{n // 100},G{n % 100},{int(n % 7 == 0)},train" for n in range(EXAMPLES)]
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "k562-de.csv").write_text("\n".join(["pert,gene,label,split", *rows, ""]))
    ups = [f"P{n // 100},G{n % 100},{int(n % 2)},train" for n in range(0, EXAMPLES, 7)]
    (tmp_path / "large" / "k562-dir.csv").write_text("\n".join(["pert,gene,label,split", *ups, ""]))
    store = Store(tmp_path / "store", create=True)
    ingest(store, tmp_path / "large")
    return store


def command(place):
    """Generate for all of them."""
    asked = ["--limit", str(EXAMPLES), "--concurrency", str(IN_FLIGHT), "--timeout", "1"]
    return [sys.executable, "-c", CLIENT, "--quiet", "--store", place, "generate", "--model", "m", *asked]


def kept(store):
    """The answers that the store would still have if nothing ran any more: dollars counted, by the server's number."""
    rows = store.rows("SELECT tokens_in, usd, response_id FROM raw.responses WHERE tokens_in IS NOT NULL")
    lines = b"".join(f.read_bytes() for f in store.journals.glob("*.jsonl")).split(b"\n")
    rows += [row for line in lines if (row := whole(line)).get("tokens_in")]
    found = {row["response_id"]: row for row in rows}
    numbers = {row["tokens_in"] - FIRST: row["usd"] for row in found.values()}
    assert len(numbers) == len(found), "an answer is kept, and counted, once"
    return numbers


def whole(line):
    """A line's row; of one that a kill has cut, none."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}


def run_or_kill(place, kill_after):
    """Run the command; kill it after so many seconds, or let it come to its end. Returns its status."""
    process = subprocess.Popen(command(place), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        _, err = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        _, err = process.communicate()
    assert process.returncode in (0, 1, -signal.SIGKILL), err.decode()
    if process.returncode == 1:  # a key refused, a model unknown, a quota gone: one line, and the next run goes on
        assert err.count(b"\n") == 1 and b"planted" in err, err.decode()
    return process.returncode


def test_with_every_fault_and_many_kills_each_request_has_one_end(large, monkeypatch):
    store, seed = large, int(os.environ.get("FAULTS_SEED") or time.time())
    print(f"FAULTS_SEED={seed}")
    rng, kills, left = random.Random(seed), 0, True
    prices = ", ".join(f"{k} = {v}" for k, v in PRICE.items())
    Path("synthpert.toml").write_text(f'[models.m]\nprice = {{ {prices} }}\nprovider = "faulty"\n')
    with faulty(seed) as (server, url):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        while left:
            done, before = {server.ledger[n][0] for n in kept(store)}, dict(server.asked)
            status = run_or_kill(store.place, rng.uniform(0.9, 1.8) if kills < KILLS else 200)
            kills += status == -signal.SIGKILL
            again = [key for key in done if server.asked[key] > before[key]]
            assert again == [], "what was answered and on the disk was asked again"
            if status == 0:
                left = store.rows("FROM requests WHERE NOT answered AND list_contains($p, failure)", {"p": [*PASSING]})
    print(f"{kills} kills, {server.asked.total():,} requests, at most {server.most} in flight: {dict(server.kinds)}")
    assert kills >= KILLS and server.most <= 2 * IN_FLIGHT  # with what a killed one left
    assert set(server.kinds) >= {"plain", "429 after", "cut in the body", "hang", "content filter", "html"}

    # each request has one end: an answer, or a failure that says why
    requests = store.rows("SELECT answered, failure, subject_id FROM requests")
    assert len(requests) == len({r["subject_id"] for r in requests}) == EXAMPLES
    assert all(r["answered"] == (r["failure"] is None) for r in requests)
    assert {r["failure"] for r in requests} == {None, "bad_request", "too_long", "content_filter"}
    assert sum(not r["answered"] for r in requests) == sum(server.draw(key)[0] in LASTING for key in server.asked)
    assert store.rows("SELECT request_id FROM responses WHERE failure IS NULL GROUP BY 1 HAVING count(*) > 1") == []
    assert store.rows("FROM responses WHERE failure IS NOT NULL AND detail IS NULL") == []

    # the server's ledger: what the client has kept, at the server's price; the rest was on its way when it was killed
    has = kept(store)
    lost = len(server.ledger) - len(has)
    print(f"{len(server.ledger):,} answers given, {len(has):,} kept, {lost} lost on their way in {kills} kills")
    assert 0 <= lost <= kills * IN_FLIGHT
    assert all(usd == pytest.approx(server.ledger[n][1], abs=1e-12) for n, usd in has.items())
    ledger = sum(server.ledger[n][1] for n in has)
    assert store.rows("FROM spend")[0]["usd"] == pytest.approx(ledger, abs=1e-9)
