"""The command line: fast to start, told once, and honest about how it ended."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import COMMAND
from typer.testing import CliRunner

import synthpert

ROOT = Path(__file__).parent.parent
HEAVY = {"numpy", "pyarrow", "duckdb", "deltalake", "openai", "datasets", "sklearn", "torch", "pandas", "aiohttp"}
HEAVY |= {"transformers", "trl", "peft"}


def test_help_imports_nothing_heavy():
    """The clock is noisy on a shared machine, so the test is on what gets imported."""
    code = "import sys, synthpert\ntry: synthpert.app(['--help'])\nexcept SystemExit: print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "generate" in out and not HEAVY & set(out.split())


@pytest.mark.parametrize("verb", synthpert.VERBS)
def test_each_verb_says_what_it_does_once_with_an_example_and_imports_nothing_heavy(verb, start):
    assert synthpert.function(verb).__doc__.splitlines()[0] == synthpert.VERBS[verb][1]
    done = start(*verb.split(), "--help", env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"})
    assert done.returncode == 0 and f"Example: synthpert {verb}" in done.stdout
    imported = set(re.findall(r"^import time:.*\|\s*(\S+)$", done.stderr, re.M))
    assert "typer" in imported and not HEAVY & imported


USAGE = [
    ["nonsense"], ["generate"], ["generate", "--model", "m", "--nope"], ["build", "excellent"],
    ["generate", "--model", "m", "--fraction", "2"], ["generate", "--model", "m", "--limit", "0"], ["--nope"],
]  # fmt: skip


@pytest.mark.parametrize("words", USAGE)
def test_usage_errors_are_exit_2(words, start):
    done = start(*words)
    assert done.returncode == 2 and "Traceback" not in done.stderr and done.stdout == ""


WRONG = {
    "an unknown split": (["generate", "--model", "m", "--split", "nope"], "not one of default, rpe1_holdout"),
    "an unknown line": (["generate", "--model", "m", "--cell-line", "HeLa"], "not one of HepG2, Jurkat, K562, RPE1"),
    "an unknown approach": (["generate", "--model", "m", "--approach", "x"], "explain, blind, control"),
    "a shard that is none": (["generate", "--model", "m", "--shard", "5"], "wanted I/N"),
    "a shard too far": (["generate", "--model", "m", "--shard", "5/3"], "I up to N"),
    "neither run nor condition": (["exclude", "--reason", "x"], "one of --run ID and --where SQL"),
    "a parameter that is none": (["generate", "--model", "m", "--param", "x"], "KEY=VALUE"),
    "prompts that are not there": (["generate", "--model", "m", "--prompts", "nope"], "no such folder"),
    "an unknown trace": (["show", "nope"], "no trace has this id"),
    "an unknown kind": (["parse", "--kind", "x", "f"], "generator, critic"),
    "no such file": (["parse", "f.jsonl"], "f.jsonl: found No such file"),
    "no such recipe": (["build", "nope", "--name", "d"], "no such recipe"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line_and_exit_1(case, run, store):
    words, line = WRONG[case]
    done = run(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert line in done.stderr


def test_the_store_is_named_by_option_then_environment_then_file_then_default(tmp_path, benchmark, start):
    Path("synthpert.toml").write_text('store = "by-file"')
    env = {**os.environ, "SYNTHPERT_STORE": "by-environment"}
    assert start("--store", "by-option", "ingest", benchmark, env=env).returncode == 0
    assert start("ingest", benchmark, env=env).returncode == 0
    assert start("ingest", benchmark).returncode == 0
    Path("synthpert.toml").unlink()
    assert start("ingest", benchmark).returncode == 0
    stores = {p.parent.name for p in tmp_path.glob("*/migrations")}
    assert stores == {"by-option", "by-environment", "by-file", "store"}


BAD_CONFIG = {
    "storr = 'x'": "the key storr",
    "store = 3": "store = 3",
    "store = ": "no TOML",
    "models = 3": "models = 3",
    "[models.m]\nkey = 'sk-x'": "the key models.m.key",
    "[models.m]\nprice = 3": "models.m.price = 3",
    "[models.m]\nparams = { stream = true }": "models.m.params.stream",
}


@pytest.mark.parametrize("text", BAD_CONFIG)
def test_a_config_that_nothing_reads_is_refused(text, store, run):
    Path("synthpert.toml").write_text(text)
    done = run("generate", "--model", "m")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and BAD_CONFIG[text] in done.stderr


def test_the_result_alone_is_on_stdout_and_quiet_is_quiet(store, model, start):
    done = start("--json", "generate", "--model", "m", "--limit", 3)
    assert json.loads(done.stdout) == {
        "asked": 3, "answered": 3, "cached": 0, "failed": 0, "usd": 0.0, "left": 0, "stopped": None,
    }  # fmt: skip
    assert "next: synthpert grade" in done.stderr
    assert start("--quiet", "generate", "--model", "m", "--limit", 3).stderr == ""


def test_parse_tells_how_each_text_is_read(tmp_path, run, ask_json):
    lines = [
        {"id": "a", "text": "<think>x</think><answer>Upregulated.</answer>"},
        {"id": 2, "text": "<answer>upregulated or not</answer>"},
        {"id": "c", "text": None},
    ]
    Path("t.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert ask_json("parse", "t.jsonl")[0] == {"id": "a", "label": "upregulated", "reason": None, "think": "ok"}
    assert [r["reason"] for r in ask_json("parse", "t.jsonl")][2] == "empty_output"
    Path("c.jsonl").write_text('{"id": 1, "text": "<evaluation>good</evaluation>"}\n\n')
    assert ask_json("parse", "--kind", "critic", "c.jsonl") == [
        {"id": 1, "grade": "good", "reason": None, "reasoning": "missing"}
    ]
    for bad, place in (('{"id": 1}', "line 1"), ('{"id": 1, "text": 3}', "column text"), ("{", "no JSON")):
        Path("b.jsonl").write_text(bad)
        done = run("parse", "b.jsonl")
        assert done.returncode == 1 and place in done.stderr


def test_show_tells_a_trace_from_its_example_to_its_versions(filled, start, run, ask_json):
    trace = ask_json("--store", filled, "sql", "SELECT * FROM traces WHERE grade = 'good' AND approach = 'explain'")[0]
    shown = start("--store", filled, "show", trace["trace_id"][:12])
    assert shown.returncode == 0
    for words in (trace["pert"], trace["gene"], "Measured outcome", "GRADED GOOD", "ASKED, SYSTEM", trace["trace_id"]):
        assert words in shown.stdout
    whole = ask_json("--store", filled, "show", trace["trace_id"])
    assert set(whole) == {"trace", "response", "grades", "versions"}
    assert whole["response"]["response_id"] == trace["response_id"]
    assert run("--store", filled, "show", "").returncode == 1


def test_json_is_json_whatever_sql_gives(filled, ask_json, run):
    query = "SELECT 'nan'::DOUBLE AS a, sum(tokens_in) AS b, NULL AS c, now() AS d, [1, NULL] AS e FROM responses"
    row = ask_json("--store", filled, "sql", query)[0]
    assert row["a"] is None and row["b"] > 1_000 and row["c"] is None and row["e"] == [1, None]
    assert run("--store", filled, "sql", "SELECT NULL AS c").stdout.split() == ["c", "----", "NULL"]


def test_what_is_next_names_the_store_that_was_named(tmp_path, benchmark, run):
    assert "next: synthpert --store other generate" in run("--store", "other", "ingest", benchmark).stderr


def test_a_table_fits_the_terminal(filled):
    """In a real terminal of 80 columns, through a pseudo-terminal."""
    import pty

    leader, follower = pty.openpty()
    env = {**os.environ, "COLUMNS": "80", "TERM": "xterm"}
    command = [*COMMAND, "--store", str(filled), "sql", "FROM spend"]
    process = subprocess.Popen(command, stdout=follower, env=env)
    assert process.wait() == 0
    os.close(follower)
    text = os.read(leader, 100_000).decode()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_the_version_is_told(start):
    assert start("--version").stdout.startswith("synthpert 0.")


def test_a_reader_that_goes_away_is_no_error(filled):
    command = [*COMMAND, "--store", str(filled), "sql", "FROM examples"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()


def test_a_terminal_that_knows_no_unicode(filled):
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    command = [*COMMAND, "--store", str(filled), "sql", "SELECT 'naïve' AS a"]
    done = subprocess.run(command, capture_output=True, env=env)
    assert done.returncode == 0 and b"na?ve" in done.stdout


def test_a_bug_shows_its_traceback(monkeypatch, store):
    def broken(*args, **options):
        raise RuntimeError("a bug")

    monkeypatch.setattr("curation.apart.answer", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        CliRunner().invoke(synthpert.app, ["sql", "FROM traces"], catch_exceptions=False)


def test_no_room_is_shadowed_by_another_package():
    """Names such as `eval` are generic: what is imported must be this repository's."""
    for room in ("curation", "annotation", "training", "datasets_cards", "journey"):
        assert Path(importlib.import_module(room).__file__).is_relative_to(ROOT)


def test_curation_imports_no_other_room():
    for file in (ROOT / "curation").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) (annotation|training|eval|journey)\b", file.read_text(), re.M), file
    for file in (ROOT / "training").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) (annotation|eval|journey)\b", file.read_text(), re.M), file
