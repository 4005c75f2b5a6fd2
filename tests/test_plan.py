"""Plan, settings and download: what is said before anything is sent, and three models at three addresses."""

import hashlib
import http.server
import os
import threading
import tomllib
from functools import partial
from pathlib import Path

import pytest
from kit.peer import completion, peer

from curation import download as module
from curation.asking import prices
from curation.asking.requests import endpoint
from curation.download import download
from curation.errors import BadInput
from curation.plan import plan
from curation.prompting import load
from curation.selection import Selection, select


def test_it_counts_what_would_be_asked_and_sends_nothing(store, ask_json, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with peer(lambda n, body: (500, {}, {})) as (url, asked):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        found = ask_json("plan", "--model", "m", "--limit", 30, "--samples", 2)
    assert asked == []
    assert (found["requests"], found["known"], found["usd"], found["host"]) == (60, 0, None, url.split("/")[2])
    chosen = select(store, Selection(limit=30)).to_pylist()
    prompt = load("explain")
    sent = [
        prompt.messages(pert=e["pert"], gene=e["gene"], cell_line=e["cell_line"], outcome=e["label"]) for e in chosen
    ]
    assert found["tokens_in"] == 2 * sum(len(m["content"]) for messages in sent for m in messages) // 4
    assert sum(row["n"] for row in found["by"]) == 30
    assert {row["cell_line"] for row in found["by"]} == {e["cell_line"] for e in chosen}


def test_what_is_answered_is_left_out_and_the_median_of_answers_is_taken(store, run, monkeypatch):
    answer = completion("<think>Because.</think><answer>upregulated</answer>")
    answer["usage"] = {"prompt_tokens": 100, "completion_tokens": 70}
    Path("synthpert.toml").write_text("[models.m]\nprice = { input = 1.0, output = 2.0 }")
    with peer(lambda n, body: (200, answer, {})) as (url, _):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        assert run("generate", "--model", "m", "--limit", 25).returncode == 0
        found = plan(store, Selection(limit=40), endpoint("m"))
    assert (found.requests, found.known, found.measured, found.tokens_out) == (15, 25, True, 15 * 70)
    assert found.usd == pytest.approx((found.tokens_in * 1 + found.tokens_out * 2) / 1e6)
    assert found.hours is not None and found.hours < 1


def test_a_critic_is_planned_as_well_and_measured_once_it_has_answered(store, run, ask_json, monkeypatch):
    trace = completion("<think>" + "Because. " * 50 + "</think><answer>upregulated</answer>")
    grade = completion("<reasoning>Fine.</reasoning><evaluation>good</evaluation>")
    grade["usage"] = {"prompt_tokens": 500, "completion_tokens": 30}
    Path("synthpert.toml").write_text("[models.c]\nprice = { input = 1.0, output = 2.0 }")
    answer = lambda n, body: (200, grade if body["model"] == "c" else trace, {})  # noqa: E731
    with peer(answer) as (url, asked):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        before = ask_json("plan", "--model", "m", "--limit", 40, "--grade", "c")["grading"]
        assert asked == []
        assert run("generate", "--model", "m", "--limit", 25, "--grade", "c").returncode == 0
        found = ask_json("plan", "--model", "m", "--limit", 40, "--grade", "c")["grading"]
        sent = [len("".join(m["content"] for m in a["body"]["messages"])) for a in asked if a["body"]["model"] == "c"]
        assert "grading: at most 15 requests" in run("plan", "--model", "m", "--limit", 40, "--grade", "c").stdout
    assert (before["requests"], before["tokens_out"], before["measured"], before["hours"]) == (40, 40_000, False, None)
    assert (found["requests"], found["tokens_out"], found["measured"]) == (15, 15 * 30, True)
    assert found["tokens_in"] == pytest.approx(15 * sum(sent) / len(sent) / 4, rel=0.02)
    assert found["usd"] == pytest.approx((found["tokens_in"] * 1 + found["tokens_out"] * 2) / 1e6)
    assert ask_json("plan", "--model", "m", "--limit", 40)["grading"] is None


def test_what_is_stored_and_not_graded_counts_for_the_critic(store, run, ask_json, monkeypatch):
    trace = completion("<think>" + "Because. " * 50 + "</think><answer>upregulated</answer>")
    grade = completion("<reasoning>Fine.</reasoning><evaluation>good</evaluation>")
    with peer(lambda n, body: (200, grade if body["model"] == "c" else trace, {})) as (url, asked):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        assert run("generate", "--model", "m", "--limit", 25).returncode == 0
        whole, part = (ask_json("plan", "--model", "m", "--limit", n, "--grade", "c")["grading"] for n in (40, 10))
        assert len(asked) == 25, "a plan asks nothing"
        assert run("generate", "--model", "m", "--limit", 40, "--grade", "c").returncode == 0
        sent = [sum(len(m["content"]) for m in a["body"]["messages"]) for a in asked if a["body"]["model"] == "c"]
        after = ask_json("plan", "--model", "m", "--limit", 40, "--grade", "c")["grading"]
    assert (whole["requests"], part["requests"], after["requests"]) == (40, 10, 0)
    assert len(sent) == 40 and whole["tokens_in"] == pytest.approx(sum(sent) / 4, rel=0.02)


def test_prices_are_dated_and_for_their_host_alone(monkeypatch):
    assert prices.as_of() >= "2025-01-01"
    assert endpoint("o4-mini").price == {"input": 1.10, "cached": 0.275, "output": 4.40, "max_output": 100_000}
    assert endpoint("unheard-of").price == {}
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
    assert endpoint("o4-mini").price == {}


def test_init_writes_what_it_reads_once(store, run):
    assert run("init").returncode == 0
    text = Path("synthpert.toml").read_text()
    assert tomllib.loads(text) == {"store": "store"}
    lines = [line.removeprefix("# ") for line in text.splitlines()[text.splitlines().index("#") + 1 :]]
    Path("synthpert.toml").write_text("\n".join(lines))
    assert set(tomllib.loads("\n".join(lines))["models"]["o4-mini"]) == {
        "base_url", "api_key_env", "provider", "params", "price", "requests_per_minute", "tokens_per_minute", "client",
    }  # fmt: skip
    assert run("sql", "FROM funnel").returncode == 0
    done = run("init")
    assert done.returncode == 1 and "one already" in done.stderr


def test_the_nearest_known_key_is_named(store, run):
    for text, words in (
        ("stor = 'x'", "wanted store"),
        ("[models.m]\nbase-url = 'x'", "wanted models.m.base_url"),
        ("[models.m]\nprice = { inputs = 1 }", "dollars for input, cached, output"),
    ):
        Path("synthpert.toml").write_text(text)
        done = run("plan", "--model", "m")
        assert done.returncode == 1 and words in done.stderr and done.stderr.count("\n") == 1


def test_a_key_in_the_config_is_refused_and_not_repeated(store, run):
    Path("synthpert.toml").write_text("[models.m]\napi_key_env = 'sk-live-abcdef'")
    done = run("plan", "--model", "m")
    assert done.returncode == 1 and "api_key_env" in done.stderr and "sk-live" not in done.stdout + done.stderr


def test_three_models_at_three_addresses_in_one_store(store, run):
    trace = completion("<think>Because.</think><answer>upregulated</answer>")
    grade = completion("<reasoning>Fine.</reasoning><evaluation>good</evaluation>")
    with (
        peer(lambda n, b: (200, trace, {})) as (a, asked_a),
        peer(lambda n, b: (200, grade, {})) as (b, asked_b),
        peer(lambda n, b: (200, grade, {})) as (c, asked_c),
    ):
        lines = [
            f'[models.{m}]\nbase_url = "{u}"\napi_key_env = "KEY_{m.upper()}"'
            for m, u in zip("abc", (a, b, c), strict=True)
        ]
        Path("synthpert.toml").write_text("\n".join(lines))
        env = {
            **os.environ,
            "KEY_A": "key-a",
            "KEY_B": "key-b",
            "KEY_C": "key-c",
            "OPENAI_BASE_URL": "http://127.0.0.1:9",
        }
        for verb, model in (("generate", "a"), ("grade", "b"), ("grade", "c")):
            assert run(verb, "--model", model, "--limit", 5, env=env).returncode == 0
    for asked, key in ((asked_a, "key-a"), (asked_b, "key-b"), (asked_c, "key-c")):
        assert len(asked) == 5 and {r["headers"]["Authorization"] for r in asked} == {f"Bearer {key}"}


@pytest.fixture
def authors(tmp_path, monkeypatch, benchmark):
    """A server of files such as the authors', whose sums are expected."""
    folder = tmp_path / "served"
    folder.mkdir()
    for file in benchmark.glob("*.csv"):
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "source.json").write_bytes((benchmark / "source.json").read_bytes())
    sums = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.glob("*.csv")}
    monkeypatch.setattr(module, "SHA256", sums)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_download_keeps_what_is_right_and_nothing_else(authors, tmp_path):
    folder, url = authors
    download(tmp_path / "got", url)
    assert {f.name: f.read_bytes() for f in (tmp_path / "got").iterdir()} == {
        f.name: f.read_bytes() for f in folder.glob("*.csv")
    }
    said = []
    download(tmp_path / "got", url, said.append)
    assert said == [], "what is there is not fetched again"
    (tmp_path / "got" / "k562-de.csv").write_text("changed")
    with pytest.raises(BadInput, match="remove it"):
        download(tmp_path / "got", url)
    (tmp_path / "got" / "k562-de.csv").unlink()
    (folder / "k562-de.csv").write_text("another")
    with pytest.raises(BadInput, match="was not kept"):
        download(tmp_path / "got", url)
    assert not list((tmp_path / "got").glob("k562-de*"))
    (folder / "k562-de.csv").unlink()
    with pytest.raises(BadInput, match="(?i)not found"):
        download(tmp_path / "got", url)


def test_the_pinned_sums_are_those_of_the_authors_files(perturbqa):
    for name, wanted in module.SHA256.items():
        assert hashlib.sha256((perturbqa / name).read_bytes()).hexdigest() == wanted


def test_ingest_downloads_on_the_command_line(tmp_path, run):
    done = run("ingest", "--download", "--base-url", "http://127.0.0.1:9")
    assert done.returncode == 1 and "http://127.0.0.1:9/hepg2-de.csv" in done.stderr.splitlines()[-1]
    assert not Path("store").exists()


def test_ingest_downloads_the_real_files(tmp_path, perturbqa, run):
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(perturbqa))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    done = run("ingest", "got", "--download", "--base-url", f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()
    assert done.returncode == 0 and "614,479 examples" in done.stdout
