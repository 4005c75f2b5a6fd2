"""Generate and grade at once: the same requests as one after the other, and neither loses what it paid for."""

import json
import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

from conftest import COMMAND
from kit.peer import GOOD, completion, peer

from curation.asking import journal, keeper, stage, work
from curation.asking.engine import ask_all
from curation.asking.journal import Journal, Neighbours, in_table
from curation.asking.requests import endpoint
from curation.asking.stage import How
from curation.overlap import generate_and_grade
from curation.rehearsal.server import serve
from curation.selection import Selection
from curation.store import Store
from curation.traces import generate

GRADE = completion("<evaluation>good</evaluation>")
QUIET = How(quiet=True, concurrency=8)
COUNTS = "SELECT stage, count(*) AS n, count(DISTINCT request_id) AS ids FROM responses GROUP BY 1 ORDER BY 1"


def test_it_asks_what_the_two_commands_would_ask(store, ask_json):
    with serve(faults=0.1) as server:
        os.environ["OPENAI_BASE_URL"] = server.base_url
        done = ask_json("generate", "--limit", 80, "--model", "m", "--grade", "c", "--correct-only")
        both = {r["id"] for r in server.stats(ids=True)["ids"]}
        assert (done["answered"], done["left"], done["graded"]["left"]) == (80, 0, 0)
        assert server.stats()["repeated"] == 0
        rest = ask_json("grade", "--limit", 80, "--model", "c", "--correct-only")
        assert (rest["asked"], rest["cached"]) == (0, done["graded"]["answered"]), "each trace is graded"
    runs = store.rows("SELECT command, state FROM runs WHERE command IN ('generate', 'grade') ORDER BY command")
    assert [(r["command"], r["state"]) for r in runs] == [("generate", "done"), ("grade", "done"), ("grade", "done")]
    assert len(both) == 80 + done["graded"]["answered"]
    valid = store.rows("SELECT count(*) AS n FROM traces WHERE valid AND correct")[0]["n"]
    assert done["graded"]["answered"] == valid > 60


def test_the_critic_begins_before_the_generator_ends(store, monkeypatch):
    monkeypatch.setattr(keeper, "ABSORB_FIRST", 0.5)
    seen = []

    def say(n, body):
        seen.append(body["model"])
        time.sleep(0.05)
        return 200, GOOD if body["model"] == "m" else completion("<evaluation>good</evaluation>"), {}

    with peer(say) as (url, _):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        made, graded = generate_and_grade(
            store, Selection(limit=400), endpoint("m"), endpoint("c"), how=How(quiet=True, concurrency=4)
        )
    assert (made.answered, graded.answered) == (400, 400)
    assert seen.index("c") < len(seen) - 1 - seen[::-1].index("m"), "they overlap"
    assert store.rows("SELECT count(*) AS n FROM traces WHERE grade = 'good'") == [{"n": 400}]


def test_what_a_kill_left_in_the_journal_is_graded_by_the_next_run(store, monkeypatch):
    with peer(lambda n, body: (200, GOOD if body["model"] == "m" else GRADE, {})) as (url, _):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        with monkeypatch.context() as killed:
            killed.setattr(work.Work, "absorb", lambda self: None)
            killed.setattr(Journal, "close", lambda self: self._out.close())  # the lock goes, the file stays
            generate(store, Selection(limit=6), endpoint("m"), how=QUIET)
        assert store.sql("FROM raw.responses").num_rows == 0
        made, graded = generate_and_grade(store, Selection(limit=6), endpoint("m"), endpoint("c"), how=QUIET)
    assert (made.asked, made.cached, graded.answered) == (0, 6, 6)


def test_a_commands_other_stage_is_no_neighbour(store):
    ours, theirs = Journal(store, "ours"), Journal(store, "theirs")
    neighbours = Neighbours(store.journals, {"ours"})
    ours.write({"request_id": "a", "attempt": 1})
    assert neighbours.answered() == set() and neighbours.met
    theirs.write({"request_id": "b", "attempt": 1})
    theirs.write({"request_id": "c", "attempt": 1, "failure": "timeout"})
    assert (neighbours.answered(), neighbours.answered()) == ({"b"}, set())
    theirs.close()
    alone = Neighbours(store.journals, {"ours"})
    assert alone.answered() == set() and not alone.met


def test_another_runs_journal_is_read_by_batches_and_from_where_the_table_has_it(store, monkeypatch):
    monkeypatch.setattr(journal, "BATCH", 2_000)
    read, rows = [], journal._rows
    monkeypatch.setattr(journal, "_rows", lambda lines: read.append(len(lines)) or rows(lines))
    theirs = Journal(store, "theirs")
    for n in range(100):
        theirs.write({"request_id": f"{n}", "attempt": 1, "text": "x" * 100})
        if n == 59:
            theirs.absorb()
    theirs.file.open("ab").write(b'{"request_id": "cut')  # as one finds it while it is written
    read.clear()
    every = Neighbours(store.journals, set())
    assert every.answered() == {f"{n}" for n in range(100)}
    assert max(read) < 2_500 and sum(read) > 20_000
    read.clear()
    rest = Neighbours(store.journals, set(), partial(in_table, store))
    assert rest.answered() == {f"{n}" for n in range(60, 100)} and rest.met
    late = Journal(store, "late")
    late.write({"request_id": "of one that began later", "attempt": 1})
    late.absorb()
    assert rest.answered() == {"of one that began later"}, "the table was looked at before"


def test_a_critic_that_is_the_generator_shares_its_rate(store, monkeypatch):
    Path("synthpert.toml").write_text("[models.m]\nrequests_per_minute = 600")
    with peer(lambda n, body: (200, GRADE if "evaluation" in str(body) else GOOD, {})) as (url, _):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        seen = []
        monkeypatch.setattr(stage, "ask_all", lambda works: seen.extend(works) or ask_all(works))
        generate_and_grade(store, Selection(limit=3), endpoint("m"), endpoint("m"), how=QUIET)
        generate_and_grade(store, Selection(limit=3, seed=1), endpoint("m"), endpoint("c"), how=QUIET)
    shared = [one.limits.pace is two.limits.pace for one, two in (seen[:2], seen[2:])]
    assert shared == [True, False] and seen[0].limits.buckets["requests"] is seen[1].limits.buckets["requests"]


def test_a_critic_that_is_refused_ends_both_and_keeps_what_came(store, run, monkeypatch):
    no = 401, {"error": {"message": "bad key", "code": "invalid_api_key"}}, {}
    with peer(lambda n, body: (200, GOOD, {}) if body["model"] == "m" else no) as (url, asked):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        done = run("generate", "--model", "m", "--grade", "c", "--limit", 30)
        assert done.returncode == 1 and "refused" in done.stderr and "Traceback" not in done.stderr
        came = store.rows("SELECT count(*) AS n FROM traces")[0]["n"]
        assert came == sum(a["body"]["model"] == "m" for a in asked) > 0


def test_ctrl_c_stops_both_and_the_same_command_goes_on(store, ask_json):
    with serve(latency=0.2) as server:
        os.environ["OPENAI_BASE_URL"] = server.base_url
        options = ["--limit", "60", "--concurrency", "4", "--model", "m", "--grade", "c"]
        process = subprocess.Popen([*COMMAND, "generate", *options], stderr=subprocess.PIPE, text=True)
        while server.stats()["answered"] < 12:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 3 and "the same command goes on" in err.splitlines()[-1], err
        done = ask_json("generate", *options)
        assert (done["left"], done["graded"]["left"]) == (0, 0) and server.stats()["repeated"] == 0
    for row in Store(store.place).rows(COUNTS):
        assert row["n"] == row["ids"]


def test_one_budget_holds_for_both(store, run, model):
    done = run("--json", "generate", "--model", "m", "--grade", "c", "--limit", 60, "--max-requests", 40)
    told = json.loads(done.stdout)
    assert done.returncode == 3 and model.stats()["requests"] == 40 == told["answered"] + told["graded"]["answered"]
