"""A round of review on a real Argilla server: pushed, answered by simulated experts, pulled; killed at any point."""

import os
import re
import shlex
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from annotation import pull as pulling
from annotation import push as pushing
from annotation import records, remote, rounds
from annotation.push import prepare, push
from annotation.sampling import Scheme
from annotation.server import serving
from annotation.server.users import User
from annotation.simulated import Expert, Habits, answer
from annotation.watching import links, status
from curation.errors import BadInput, ServerError
from curation.store import Store

PASSWORD = "a-long-passphrase-7"
EXPERTS = [Expert(name, PASSWORD) for name in ("dora", "emil", "fee")]


@pytest.fixture(scope="module")
def team(argilla):
    """The server with three more annotators, whose passwords are known."""
    place = next(w for w in argilla.ask("GET", "api/v1/me/workspaces")["items"] if w["name"] == argilla.workspace)
    for expert in EXPERTS:
        body = {"username": expert.username, "password": PASSWORD, "role": "annotator", "first_name": "x"}
        user = argilla.ask("POST", "api/v1/users", body)["id"]
        argilla.ask("POST", f"api/v1/workspaces/{place['id']}/users", {"user_id": user})
    return argilla


@pytest.fixture
def there(team, monkeypatch):
    named(monkeypatch, team)
    return team


def named(monkeypatch, served):
    monkeypatch.setenv("ARGILLA_API_URL", served.url)
    monkeypatch.setenv("ARGILLA_API_KEY", served.api_key)


@pytest.fixture
def held(filled, tmp_path):
    return Store(shutil.copytree(filled, tmp_path / "held"))


def latest(events):
    """What stands in the end of the answers that were given: (clause, annotator) -> status and verdict."""
    return {(e["clause_id"], e["annotator"]): (e["status"], e["verdict"], e["level"], e["note"]) for e in events}


def stands(store, name):
    rows = store.rows("SELECT * FROM verdicts WHERE round = $name AND status <> 'deleted'", {"name": name})
    assert len({(r["clause_id"], r["annotator"]) for r in rows}) == len(rows)
    return {(r["clause_id"], r["annotator"]): (r["status"], r["verdict"], r["level"], r["note"]) for r in rows}


def settled(answers, users, last):
    """The clauses found TRUE or FALSE: by who has the last word, else by more annotators than said anything else."""
    said = defaultdict(dict)
    for (clause, annotator), (state, verdict, *_) in answers.items():
        if state == "submitted":
            said[clause][users[annotator]] = verdict
    found = {}
    for clause, by in said.items():
        (most, n), *others = Counter(by.values()).most_common()
        found[clause] = by.get(last) or (most if not others or n > others[0][1] else None)
    return {clause: verdict for clause, verdict in found.items() if verdict in ("TRUE", "FALSE")}


def small(store, name, n=3, **more):
    return push(store, prepare(store, name, Scheme(n, everybody=0.4, **more)), quiet=True)


def answered(store, name, experts=EXPERTS, **more):
    this = rounds.named(store, name)
    return answer(this.server, this.datasets().values(), experts, **more)


def test_three_hundred_clauses_are_judged_and_come_back(held, there, run, ask_json):
    words = ["--store", held.place, "annotate", "push", "--name", "big", "--sample", "68", "--by", "grade,label"]
    words += ["--planted", "0.05", "--everybody", "0.1", "--yes", "--last-word", "emil"]
    done = ask_json(*words)
    assert done["sent"] == done["on_server"] == done["clauses"] >= 300 and not done["refused"]
    assert done["planted"] > 5 and done["everybody"] >= 0.1 * done["clauses"]
    told = run(*words)
    assert told.returncode == 0 and f"{done['clauses']} on {there.url}" in told.stdout, "each record once"
    events = answered(held, "big")
    assert {e["status"] for e in events} == {"submitted", "draft", "discarded"}
    assert any(e["verdict"] is None for e in events if e["status"] == "draft")
    wanted = latest(events)
    assert len(wanted) < len(events), "minds were changed"
    pulled = ask_json("--store", held.place, "annotate", "pull", "big")
    count = Counter(status for status, *_ in wanted.values())
    assert {s: pulled[s] for s in count} == dict(count) and pulled["new"] == len(wanted)
    assert ask_json("--store", held.place, "annotate", "pull", "big")["new"] == 0
    assert stands(held, "big") == wanted
    so_far = ask_json("--store", held.place, "annotate", "status", "big")
    assert sum(row["submitted"] for row in so_far["by"]) == count["submitted"] and 80 < so_far["percent"] <= 100
    assert so_far["complete"] + so_far["short"] + so_far["untouched"] == so_far["clauses"] == done["clauses"]
    planted = {row["clause_id"] for row in rounds.placed(held, "big") if row["truth"]}
    rated = held.rows("SELECT sum(clauses_rated) AS n FROM traces")[0]["n"]
    judged = settled(wanted, remote.connect().users(), last="emil")
    assert rated == len(judged.keys() - planted) < len(judged), "what is planted does not count towards factuality"
    found = ask_json("--store", held.place, "annotate", "report")["factuality"][0]
    held_true = sum(judged[c] == "TRUE" for c in judged.keys() - planted)
    assert (found["true"], found["false"]) == (held_true, rated - held_true)
    assert found["micro"] == pytest.approx(held_true / float(rated))


def test_a_server_killed_in_mid_push_and_in_mid_pull_changes_nothing(held, server_environment, tmp_path, monkeypatch):
    users = [User("owner", "owner"), *(User(e.username, "annotator", PASSWORD) for e in EXPERTS[:2])]
    real, asked = remote.Remote.ask, []

    def dying(self, method, path, **more):
        asked.append(path)
        if sum("/records" in p for p in asked) == 3:
            served.process.kill()
            served.process.wait()
        return real(self, method, path, **more)

    monkeypatch.setattr(remote, "PAGE", 5)
    scheme = Scheme(5, everybody=0.3)
    with serving(tmp_path / "data", users) as served:
        port = int(served.url.rsplit(":", 1)[1])
        named(monkeypatch, served)
        monkeypatch.setattr(remote.Remote, "ask", dying)
        with pytest.raises(ServerError, match="the same command goes on"):
            push(held, prepare(held, "r", scheme), quiet=True)
        monkeypatch.setattr(remote.Remote, "ask", real)
    placed = {row["clause_id"] for row in rounds.placed(held, "r")}
    assert len(placed) > 15, "it is written down before it is sent"
    with serving(tmp_path / "data", users, port) as served:
        assert 0 < status(held, "r")["on_server"] < len(placed)
        done = push(held, prepare(held, "r", scheme), quiet=True)
        assert done["on_server"] == len(placed)
        events = answered(held, "r", EXPERTS[:2])
        asked.clear()
        monkeypatch.setattr(remote.Remote, "ask", dying)
        before = held.snapshot().get("verdicts")
        with pytest.raises(ServerError):
            pulling.pull(held, "r")
        monkeypatch.setattr(remote.Remote, "ask", real)
        assert held.snapshot().get("verdicts") == before
    with serving(tmp_path / "data", users, port) as served:
        pulling.pull(held, "r")
        assert stands(held, "r") == latest(events)
        found = [r["external_id"] for r in pulling.answered(remote.connect(), rounds.named(held, "r"))]
        assert sorted(found) == sorted(placed), "each record once"


@pytest.mark.parametrize("at", ["place", "placed", "_datasets", "_send"])
def test_a_push_that_was_stopped_anywhere_goes_on(at, held, there, monkeypatch):
    name = f"stopped-{at.strip('_')}"
    ready = prepare(held, name, Scheme(2))
    with monkeypatch.context() as patch:
        patch.setattr(rounds if at in ("place", "placed") else pushing, at, stop)
        with pytest.raises(KeyboardInterrupt):
            push(held, ready, quiet=True)
    if at == "_datasets":  # killed while it made one: a dataset that is not published yet
        place = remote.connect().workspace_id
        there.ask("POST", "api/v1/datasets", {"name": name, "workspace_id": place})
    done = push(held, prepare(held, name, Scheme(2)), quiet=True)
    assert done["on_server"] == done["clauses"] == len(ready.drawn.clauses)
    assert held.rows("SELECT count(*) AS n FROM raw.placed WHERE round = $n", {"n": name})[0]["n"] == done["clauses"]


def stop(*args):
    raise KeyboardInterrupt


def test_another_scheme_under_the_same_name_is_refused(held, there):
    small(held, "same")
    for more, told in (({"seed": 1}, "another seed"), ({"where": "grade = 'good'"}, "another where")):
        with pytest.raises(BadInput, match=told):
            small(held, "same", **more)
    with pytest.raises(BadInput, match="another annotators"):
        prepare(held, "same", Scheme(3, everybody=0.4), annotators=3)
    with pytest.raises(BadInput, match="--last-word nobody: not one of"):
        push(held, prepare(held, "other", Scheme(2)), last_word="nobody")
    with pytest.raises(BadInput, match="--workspace nowhere: not on"):
        push(held, prepare(held, "other", Scheme(2)), "nowhere")


def test_a_bad_record_is_found_and_the_others_go_through(held, there, monkeypatch):
    made, bad = records.records, []

    def spoilt(rows, genes):
        for n, record in enumerate(made(rows, genes)):
            if n in (3, 7):
                bad.append(record["external_id"])
                record["metadata"]["order"] = "not a number"
            yield record

    monkeypatch.setattr(records, "records", spoilt)
    done = small(held, "bad", 5)
    assert {row["clause_id"] for row in done["refused"]} == set(bad) and len(bad) == 2
    assert "not a number" in done["refused"][0]["why"] or "422" in done["refused"][0]["why"]
    assert done["sent"] == done["on_server"] == done["clauses"] - 2
    monkeypatch.undo()


def test_what_happens_on_the_server_is_noticed(held, there):
    """An answer is deleted and given anew, a user gets another name, a record is not of the round."""
    small(held, "odd")
    events = answered(held, "odd", EXPERTS[:1], habits=Habits(0, 0, 0, 0))
    pulling.pull(held, "odd")
    first = events[0]
    token = there.login("dora", PASSWORD)
    there.ask("DELETE", f"api/v1/responses/{first['response']}", token=token)
    assert pulling.pull(held, "odd")["deleted"] == 1
    assert pulling.pull(held, "odd")["new"] == 0
    assert set(stands(held, "odd")) == {(e["clause_id"], e["annotator"]) for e in events[1:]}
    body = {"status": "submitted", "values": {"verdict": {"value": "UNVERIFIABLE"}}}
    there.ask("POST", f"api/v1/records/{first['record']}/responses", body, token)
    again = pulling.pull(held, "odd")
    assert (again["deleted"], again["new"], again["submitted"]) == (0, 1, len(events))
    assert stands(held, "odd")[first["clause_id"], first["annotator"]][:2] == ("submitted", "UNVERIFIABLE")
    there.ask("PATCH", f"api/v1/users/{first['annotator']}", {"username": "dora-2"})
    assert pulling.pull(held, "odd")["new"] == 0
    assert status(held, "odd")["by"][0]["annotator"] == "dora-2"
    there.ask("PATCH", f"api/v1/users/{first['annotator']}", {"username": "dora"})
    this = rounds.named(held, "odd")
    stray = next(records.records(rounds.placed(held, "odd"), {})) | {"external_id": "stray"}
    list(remote.connect().put(this.dataset_id, [stray]))
    assert pulling.pull(held, "odd")["unknown"] == [{"external_id": "stray", "answers": 0}]


def test_links_share_out_whole_texts_in_order(held, there):
    small(held, "linked", 6)
    placed = rounds.placed(held, "linked")
    first, *rest = links(held, "linked", 3)
    assert first["part"] == "everybody" and len(rest) == 3
    bounds = [tuple(map(int, re.search(r"order\.ge(\d+)\.le(\d+)$", row["url"]).groups())) for row in rest]
    others = [row for row in placed if not row["everybody"]]
    assert [sum(a <= row["place"] <= b for row in others) for a, b in bounds] == [row["clauses"] for row in rest]
    assert sum(row["clauses"] for row in (first, *rest)) == len(placed)
    assert all("status=pending&sort=metadata.order.asc" in row["url"] for row in (first, *rest))
    with pytest.raises(BadInput, match="texts to share out"):
        links(held, "linked", 99)


def test_an_expert_is_shown_neither_grade_nor_answer(held, there):
    small(held, "blind")
    token = there.login("dora", PASSWORD)
    dataset = rounds.named(held, "blind").dataset_id
    found = there.ask("POST", f"api/v1/me/datasets/{dataset}/records/search?include=suggestions", {}, token)["items"]
    for record in (item["record"] for item in found):
        assert set(record["metadata"]) == {"trace_id", "order"} and not record.get("suggestions")
        assert not re.search(r'"(grade|label|answer|critic|correct|truth|planted)"', str(record["fields"]))


def test_the_blocks_of_the_page_run(held, there, run):
    page = (Path(__file__).parent.parent / "docs" / "review.md").read_text()
    commands = re.findall(r"^synthpert .*", page, re.M)
    assert len(commands) >= 7
    for command in commands:
        done = run(*shlex.split(command)[1:], env={**os.environ, "SYNTHPERT_STORE": held.place})
        assert done.returncode == 0, f"{command}\n{done.stderr}"


def test_a_server_that_is_not_there_or_not_ours_is_one_line(held, there, run):
    small(held, "away")
    for more, told in (
        ({"ARGILLA_API_URL": "http://127.0.0.1:9"}, "http://127.0.0.1:9: ConnectError"),
        ({"ARGILLA_API_KEY": "no-such-key"}, "does not take this"),
    ):
        done = run("--store", held.place, "annotate", "pull", "away", env={**os.environ, **more})
        assert (done.returncode, done.stderr.count("\n")) == (1, 1) and told in done.stderr
        assert "no-such-key" not in done.stderr
