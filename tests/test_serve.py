"""An expert opens a page and judges; a team's answers are kept; who must not get in does not."""

import inspect
import json
import re
import shlex
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import COMMAND
from kit.reviewing import (
    answer,
    between,
    by,
    dataset,
    ids,
    metadata,
    record,
    response,
    search,
    suggestion,
    terms,
)

from annotation.commands import serve
from annotation.server import credentials, environment, serving, users
from annotation.server.credentials import Credentials
from annotation.server.users import User
from curation.errors import BadInput, ServerError

GENES = ["BRCA1", "β"]
# in the order of upload: not that of the traces
CLAUSES = [
    (
        "t2:0",
        "Loss of BRCA1 lowers the TGF-β signal",
        {"trace_id": "t2", "order": 10, "genes": ["BRCA1", "β"], "p": 0.5},
    ),
    ("t1:1", "which raises CDKN1A 100% of the time", {"trace_id": "t1", "order": 2, "genes": ["CDKN1A"], "p": 0.25}),
    ("t2:1", "so SMAD7 falls", {"trace_id": "t2", "order": 11, "genes": ["SMAD7", "BRCA1"]}),
    ("t1:0", "TP53 is activated", {"trace_id": "t1", "order": 1, "genes": ["TP53"], "hidden": "TRUE"}),
    ("t1:2", "and the cells Stop dividing_now", {"trace_id": "t1", "order": 3}),
]
ORDERED = ["t1:0", "t1:1", "t1:2", "t2:0", "t2:1"]


@pytest.fixture(scope="module")
def review(argilla):
    """A dataset in which ana submitted two answers, keeps a draft and discarded one, and ben submitted one."""
    id_ = dataset(argilla, CLAUSES, min_submitted=2)
    ana, ben, of = argilla.login("ana"), argilla.login("ben"), ids(argilla, id_)
    answer(argilla, of["t1:0"], ana, "TRUE")
    answer(argilla, of["t1:1"], ana, "FALSE")
    answer(argilla, of["t1:2"], ana, "TRUE", "draft")
    answer(argilla, of["t2:0"], ana, None, "discarded")
    answer(argilla, of["t1:0"], ben, "FALSE")
    return id_


MINE = {
    "pending": [terms(response(), "pending")],
    "draft": [terms(response(), "draft")],
    "submitted": [terms(response(), "submitted")],
    "discarded": [terms(response(), "discarded")],
    "what the page sends for status=pending": [terms(response(), "pending"), terms(record("status"), "pending")],
    "two at once": [terms(response(), "draft", "pending")],
    "what I answered": [terms(response("verdict"), "TRUE")],
}


@pytest.mark.parametrize(
    ("what", "of_ana", "of_ben"),
    [
        ("pending", ["t2:1"], ORDERED[1:]),
        ("draft", ["t1:2"], []),
        ("submitted", ["t1:0", "t1:1"], ["t1:0"]),
        ("discarded", ["t2:0"], []),
        ("what the page sends for status=pending", ["t2:1"], ORDERED[1:]),
        ("two at once", ["t1:2", "t2:1"], ORDERED[1:]),
        ("what I answered", ["t1:0", "t1:2"], []),
    ],
)
def test_an_annotator_sees_their_own_queue_and_answers(what, of_ana, of_ben, argilla, review):
    for name, wanted in (("ana", of_ana), ("ben", of_ben)):
        assert search(argilla, review, argilla.login(name), filters=MINE[what]) == (wanted, len(wanted))


SEARCHES = {
    "one trace": ({"filters": [terms(metadata("trace_id"), "t2")]}, ["t2:0", "t2:1"]),
    "a stretch": ({"filters": [between(metadata("order"), 2, 10)]}, ["t1:1", "t1:2", "t2:0"]),
    "from a bound on": ({"filters": [between(metadata("p"), ge=0.3)]}, ["t2:0"]),
    "up to a bound": ({"filters": [between(metadata("p"), le="0.3")]}, ["t1:1"]),
    "one of a list": ({"filters": [terms(metadata("genes"), "BRCA1", "TP53")]}, ["t1:0", "t2:0", "t2:1"]),
    "a letter that JSON escapes": ({"filters": [terms(metadata("genes"), "β")]}, ["t2:0"]),
    "no such value": ({"filters": [terms(metadata("genes"), "BRCA")]}, []),
    "done": ({"filters": [terms(record("status"), "completed")]}, ["t1:0"]),
    "named": ({"filters": [terms(record("external_id"), "t1:2", "x")]}, ["t1:2"]),
    "since": ({"filters": [between(record("inserted_at"), ge="2020-01-01T00:00:00+02:00")]}, ORDERED),
    "until": ({"filters": [between(record("inserted_at"), le="2020-01-01T00:00:00Z")]}, []),
    "two filters": ({"filters": [terms(metadata("trace_id"), "t1"), between(metadata("order"), ge=3)]}, ["t1:2"]),
    "in order": ({"sort": [by(metadata("order"))]}, ORDERED),
    "backwards": ({"sort": [by(metadata("order"), "desc")]}, ORDERED[::-1]),
    "as uploaded": ({"sort": [by(record("inserted_at"))]}, [name for name, _, _ in CLAUSES]),
    "by trace, then backwards": (
        {"sort": [by(metadata("trace_id")), by(metadata("order"), "desc")]},
        ["t1:2", "t1:1", "t1:0", "t2:1", "t2:0"],
    ),
    "those without a number last": ({"sort": [by(metadata("p"), "desc")]}, ["t2:0", "t1:1", "t2:1", "t1:0", "t1:2"]),
    "unsorted: a trace's clauses stay together": ({}, ORDERED),
    "a page": ({"page": "limit=2&offset=1"}, ORDERED[1:3]),
    "a word": ({"text": "brca1"}, ["t2:0"]),
    "two words anywhere": ({"text": "signal loss"}, ["t2:0"]),
    "words together": ({"text": '"TGF-β signal"'}, ["t2:0"]),
    "words not together": ({"text": '"loss signal"'}, []),
    "without a word": ({"text": "t1 -raises -dividing_now"}, ["t1:0"]),
    "a capital of another alphabet": ({"text": "TGF-Β"}, ["t2:0"]),
    "signs of SQL": ({"text": "100%"}, ["t1:1"]),
    "a quote": ({"text": "o'clock"}, []),
    "in one field": ({"text": "all of", "field": "clause"}, []),
    "in the other": ({"text": "t2:1", "field": "trace"}, ["t2:1"]),
    "a text and a filter": ({"text": "t1", "filters": [between(metadata("order"), le=1)]}, ["t1:0"]),
}


@pytest.mark.parametrize("what", SEARCHES)
@pytest.mark.parametrize("who", ["owner", "ana"])
def test_what_links_and_menus_ask_for_is_found(what, who, argilla, review):
    asked, wanted = SEARCHES[what]
    token = None if who == "owner" else argilla.login(who)
    found, total = search(argilla, review, token, **asked)
    assert found == wanted and (total == len(wanted) or "page" in asked)


def test_an_owner_filters_by_everybodys_answers(argilla, review):
    assert search(argilla, review, filters=[terms(response(), "submitted")])[0] == ["t1:0", "t1:1"]
    assert search(argilla, review, filters=[terms(response("verdict"), "FALSE")])[0] == ["t1:0", "t1:1"]
    assert search(argilla, review, filters=[terms(response(), "pending")])[0] == ["t2:1"]


def test_progress_and_menus_count(argilla, review):
    progress = argilla.ask("GET", f"api/v1/datasets/{review}/progress")
    assert (progress["total"], progress["completed"], progress["pending"]) == (5, 1, 4)
    mine = argilla.ask("GET", f"api/v1/me/datasets/{review}/metrics", token=argilla.login("ana"))["responses"]
    assert mine == {"total": 5, "submitted": 2, "discarded": 1, "draft": 1, "pending": 1}
    listed = argilla.ask("GET", f"api/v1/me/datasets/{review}/metadata-properties", token=argilla.login("ana"))["items"]
    of = {one["name"]: f"api/v1/metadata-properties/{one['id']}/metrics" for one in listed}
    assert "hidden" not in of
    assert argilla.ask("GET", of["genes"])["values"][0] == {"term": "BRCA1", "count": 2}
    assert (argilla.ask("GET", of["order"])["min"], argilla.ask("GET", of["order"])["max"]) == (1, 11)


def test_an_annotator_does_not_see_hidden_metadata(argilla, review):
    body = {"filters": {"and": [terms(record("external_id"), "t1:0")]}}
    path = f"datasets/{review}/records/search"
    mine = argilla.ask("POST", f"api/v1/me/{path}", body, argilla.login("ana"))["items"][0]["record"]["metadata"]
    assert "hidden" not in mine and mine["trace_id"] == "t1"
    assert argilla.ask("POST", f"api/v1/{path}", body)["items"][0]["record"]["metadata"]["hidden"] == "TRUE"


def test_records_without_order_come_as_uploaded(argilla):
    id_ = dataset(argilla, [(f"r{n}", "x", {}) for n in (3, 1, 2)])
    assert search(argilla, id_, argilla.login("ana"))[0] == ["r3", "r1", "r2"]


def test_suggestions_and_vectors(argilla):
    id_ = dataset(argilla, [(f"r{n}", "x", {"order": n}) for n in range(3)], vectors=2)
    of = ids(argilla, id_)
    question = argilla.ask("GET", f"api/v1/datasets/{id_}/questions")["items"][0]["id"]
    for n, (label, score) in enumerate([("TRUE", 0.9), ("FALSE", 0.2)]):
        body = {"question_id": question, "value": label, "score": score, "agent": "m", "type": "model"}
        argilla.ask("PUT", f"api/v1/records/{of[f'r{n}']}/suggestions", body)
    assert search(argilla, id_, filters=[terms(suggestion("value"), "FALSE")])[0] == ["r1"]
    assert search(argilla, id_, filters=[between(suggestion("score"), ge=0.5)])[0] == ["r0"]
    assert search(argilla, id_, filters=[terms(suggestion("agent"), "m")])[0] == ["r0", "r1"]
    assert search(argilla, id_, sort=[by(suggestion("score"))])[0] == ["r1", "r0", "r2"]
    vectors = argilla.ask("GET", f"api/v1/datasets/{id_}/vectors-settings")["items"][0]["id"]
    for name, at in {"r0": [1, 0], "r1": [1, 1], "r2": [-1, 0]}.items():
        body = {"vectors": {"v": at}}
        argilla.ask("PATCH", f"api/v1/records/{of[name]}", body)
    assert vectors
    near = {"query": {"vector": {"name": "v", "value": [1, 0.1]}}}
    found = argilla.ask("POST", f"api/v1/datasets/{id_}/records/search", near)["items"]
    assert [item["record"]["external_id"] for item in found] == ["r0", "r1", "r2"]


def test_another_number_of_answers_takes_effect_without_a_worker(argilla):
    id_ = dataset(argilla, [("a", "x", {}), ("b", "y", {})], min_submitted=2)
    answer(argilla, ids(argilla, id_)["a"], argilla.login("ana"))
    assert search(argilla, id_, filters=[terms(record("status"), "completed")])[0] == []
    argilla.ask("PATCH", f"api/v1/datasets/{id_}", {"distribution": {"strategy": "overlap", "min_submitted": 1}})
    until = time.monotonic() + 20
    while search(argilla, id_, filters=[terms(record("status"), "completed")])[0] != ["a"]:
        assert time.monotonic() < until
        time.sleep(0.1)


def test_the_page_opens(argilla):
    with urllib.request.urlopen(f"{argilla.url}/sign-in", timeout=30) as page:
        assert b"<div id=" in page.read() and page.headers["content-type"].startswith("text/html")


# -- the command


def start(*args):
    """Start the server as a user does; returns the process and what it printed once it served."""
    words = [*COMMAND, "--json", "annotate", "serve", "--port", "0", *map(str, args)]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return process, json.loads(line)


def stop(process, number):
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, ""), err


DOCS = Path(__file__).parent.parent / "docs" / "serving.md"


def test_every_block_of_the_page_on_serving_runs(server_environment, capsys, monkeypatch):
    found = re.findall(r"^```(\w*)\n(.*?)^```", DOCS.read_text(), re.S | re.M)
    of = {kind: [text for k, text in found if k == kind] for kind, _ in found}
    Path("team.csv").write_text(of["csv"][0])
    words = [shlex.split(line) for text in of[""] for line in text.splitlines()]
    served = [line[3:] for line in words if line[:3] == ["synthpert", "annotate", "serve"]]
    assert len(served) == 3
    for options in served[1:]:  # the first is that of the test on no terminal
        process, told = start("--data", "one", *options)
        assert told["owner"] == "lead"
        stop(process, signal.SIGINT)
    (_, *settings), *rest = [line for line in words if line[0] != "synthpert"]
    assert not rest
    for name, value in (setting.split("=") for setting in settings):
        monkeypatch.setenv(name, value)
    assert credentials.found()[:2] == ("https://argilla.example.org", "...")
    assert f"proxy_pass http://127.0.0.1:{inspect.signature(serve).parameters['port'].default};" in of["nginx"][0]
    exec(of["python"][0], {})
    assert capsys.readouterr().out.split()[1:] == ["lead", "annotator"]


def gone(url):
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(f"{url}/api/v1/status", timeout=5).close()
        except OSError:
            return True
        time.sleep(0.1)
    return False


def client(told, **passwords):
    """The handle of a server that a command runs."""
    from annotation.server import Served

    known = credentials.read(Path("data"))
    people = [{"username": name, "password": password} for name, password in passwords.items()]
    return Served(told["url"], told["owner"], known.api_key, told["workspace"], people, None)


def test_a_restart_loses_nothing_and_the_server_ends_with_its_parent(server_environment, run):
    Path("team.csv").write_text("username,role,password\nlead,owner,\nana,annotator,easily-remembered-7\n")
    process, told = start("--data", "data", "--users", "team.csv", "--workspace", "experts")
    assert [u["username"] for u in told["users"]] == ["lead"] and len(told["users"][0]["password"]) >= 16
    assert credentials.found("data") == Credentials(told["url"], told["api_key"], "experts", "lead")
    assert {oct(Path("data", f).stat().st_mode)[-3:] for f in ("credentials.toml", "secret", "argilla.db")} == {"600"}
    served = client(told, ana="easily-remembered-7", lead=told["users"][0]["password"])
    id_ = dataset(served, CLAUSES, min_submitted=2)
    token = served.login("ana")
    answer(served, ids(served, id_)["t1:0"], token)

    second = run("annotate", "serve", "--data", "data", "--port", "0")
    assert second.returncode == 1 and second.stderr.count("\n") == 1 and "another process serves" in second.stderr
    port = told["url"].rsplit(":", 1)[1]
    taken = run("annotate", "serve", "--data", "other", "--port", port)
    assert taken.returncode == 1 and f"--port {port}: Address already in use" in taken.stderr

    stop(process, signal.SIGINT)
    assert gone(told["url"]) and not Path("data/tmp").exists()

    process, again = start("--data", "data", "--workspace", "experts")
    assert "api_key" not in again and again["users"] == []
    served = client(again)
    assert search(served, id_, token, filters=[terms(response(), "submitted")])[0] == ["t1:0"]  # the token holds too
    assert served.ask("GET", f"api/v1/datasets/{id_}/progress")["total"] == 5

    process.kill()
    process.wait()
    assert gone(again["url"])
    until = time.monotonic() + 30
    while (done := _serve_once(run)) and time.monotonic() < until:  # the dead server's hold on the folder
        assert "another process serves" in done
        time.sleep(0.2)
    assert not done


def _serve_once(run):
    try:
        with serving("data", [User("ana", "annotator", "another-one-in-full")], workspace="experts") as served:
            assert served.login("ana") and served.users[0]["made"] is False
            with pytest.raises(ServerError, match="401"):
                served.login("ana", "easily-remembered-7")
    except ServerError as e:
        return str(e)


def test_on_no_terminal_it_makes_an_owner_and_an_expert_and_sigterm_ends_it(server_environment):
    words = [*COMMAND, "--quiet", "annotate", "serve", "--port", "0"]
    with open("out.txt", "w") as out:
        process = subprocess.Popen(words, stdout=out, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    until = time.monotonic() + 120
    while "export" not in Path("out.txt").read_text():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.1)
    text = Path("out.txt").read_text()
    process.terminate()
    assert (process.communicate(timeout=60)[1], process.returncode) == ("", 0)
    known = credentials.found()
    assert f"export ARGILLA_API_URL={known.url} ARGILLA_API_KEY={known.api_key}\n" in text
    assert [line.split()[:2] for line in text.splitlines()[3:5]] == [["owner", "owner"], ["expert", "annotator"]]


def test_nobody_an_owner_is_refused_and_leaves_nobody(server_environment):
    with pytest.raises(BadInput, match="nobody has the role owner"), serving("data", [User("ana", "annotator")]):
        pass
    assert not Path("data/credentials.toml").exists()


# -- who may

WEAK = ["short", "12345678", "password1234", "ana-ana-ana-ana", "aaaaaaaaaaaaaaaa", "argilla-argilla"]


@pytest.mark.parametrize("password", WEAK[1:])
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_weak_passwords_are_for_this_machine_alone(password, host, run):
    Path("team.csv").write_text(f"username,role,password\nlead,owner,\nana,annotator,{password}\n")
    done = run("annotate", "serve", "--port", "0", "--host", host, "--users", "team.csv")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "too easy to guess: ana" in done.stderr and password not in done.stderr


def test_a_weak_password_is_remembered_until_it_is_changed():
    Path("data").mkdir()
    credentials.write(Path("data"), Credentials("http://127.0.0.1:1", "k", "review", "owner", ("ana",)))
    with pytest.raises(BadInput, match="too easy to guess: ana"), serving("data", host="0.0.0.0"):
        pass
    assert users.weak([User("ana", "annotator", "kestrel over the moor")]) == []


def test_users_are_read_from_csv_and_toml():
    wanted = [User("lead", "owner"), User("ana", "annotator", 'with "quotes", and more')]
    Path("a.csv").write_text(
        '\ufeffusername, role, password\nlead,owner,\n\nana,annotator,"with ""quotes"", and more"\n'
    )
    Path("a.toml").write_text(
        '[[users]]\nusername = "lead"\nrole = "owner"\n'
        "[[users]]\nusername = 'ana'\nrole = 'annotator'\npassword = 'with \"quotes\", and more'\n"
    )
    assert users.read("a.csv") == users.read("a.toml") == wanted


HEAD = "username,role,password\n"
WRONG = {
    "no file": (None, "No such file"),
    "no columns": ("name,password\n", "line 1: found the columns name, password, wanted username, role and password"),
    "no user": (HEAD, "found no user"),
    "no role": (HEAD + "a,owner,\nb,,\n", r"line 3: found the role \(none\) of b, wanted owner or annotator"),
    "another role": (HEAD + "a,boss,\n", "line 2: found the role boss of a"),
    "no name": (HEAD + ",owner,\n", "line 2: a user without a username"),
    "a cell too many": (HEAD + "a,owner,secret,more\n", "line 2: found 4 cells, wanted 3"),
    "too short": (HEAD + "a,owner,secret\n", "line 2: the password of a is not of 8 to 72 characters"),
    "too long": (HEAD + f"a,owner,{'ß' * 40}\n", "line 2: the password of a is not of 8 to 72 characters"),
    "twice": (HEAD + "a,owner,\na,annotator,\n", "the user a stands there twice"),
    "no text": ("username\xff".encode("latin-1"), "wanted a file of users"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_of_users_is_told_with_its_line_and_without_passwords(case):
    text, line = WRONG[case]
    if text is not None:
        Path("a.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadInput, match=line) as e:
        users.read("a.csv")
    assert "a.csv" in str(e.value) and "secret" not in str(e.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[[users]", "found no TOML"),
        ("user = 1", r"found the keys user, wanted \[\[users\]\] tables"),
        ("users = [1]", "user 1: wanted username, role and password, each a text"),
        ("[[users]]\nusername = 'a'\nrole = 'owner'\nkey = 'x'", "user 1: found key"),
    ],
)
def test_a_wrong_toml_of_users_is_told(text, line):
    Path("a.toml").write_text(text)
    with pytest.raises(BadInput, match=line):
        users.read("a.toml")


def test_the_other_commands_find_a_server_by_the_environment_or_its_folder(monkeypatch):
    with pytest.raises(BadInput, match="synthpert annotate serve"):
        credentials.found()
    Path("annotation-server").mkdir()
    odd = Credentials("http://127.0.0.1:1", 'k"\\', "review", "Ünal\x7f", ("a", "b"))
    credentials.write(Path("annotation-server"), odd)
    assert credentials.found() == odd
    monkeypatch.setenv("ARGILLA_API_URL", "https://argilla.example/")
    with pytest.raises(BadInput, match="ARGILLA_API_KEY is not set"):
        credentials.found()
    monkeypatch.setenv("ARGILLA_API_KEY", "key")
    assert credentials.found()[:2] == ("https://argilla.example", "key")
    Path("annotation-server/credentials.toml").write_text("url = 1")
    with pytest.raises(BadInput, match=r"credentials.toml"):
        credentials.found("annotation-server")


# -- the environment


def test_an_environment_that_cannot_be_made_says_what_to_do_and_is_begun_again(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    pins = tmp_path / "requirements.txt"
    pins.write_text("synthpert-has-no-such-package==1.0\n")
    monkeypatch.setattr(environment, "_requirements", lambda: pins)
    said: list[str] = []
    with pytest.raises(ServerError, match="ERROR: No matching distribution.*ARGILLA_API_URL"):
        environment.interpreter(said.append)
    assert "making" in said[0] and str(environment.place()) in said[0]
    half = environment.place()
    assert half.exists()
    monkeypatch.setattr(environment, "place", lambda: half)
    pins.write_text("# nothing\n")
    (half / "left-over").touch()
    made = environment.interpreter(said.append)
    assert subprocess.run([made, "-c", ""]).returncode == 0 and not (half / "left-over").exists()
    said.clear()
    assert environment.interpreter(said.append) == made and said == []


def test_the_pins_are_whole_and_name_no_place():
    text = environment._requirements().read_text()
    names = [line.partition("==") for line in text.splitlines() if not line.startswith("#")]
    assert all(name and version for name, _, version in names) and len(names) > 70
    assert "//" not in text and {"argilla-server", "fakeredis"} <= {name for name, _, _ in names}


def test_the_key_is_not_shown_where_a_handle_is_printed(argilla):
    assert argilla.api_key not in repr(argilla)
