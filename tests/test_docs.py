"""The README: every command is in it, and every block of it runs."""

import os
import re
import shlex
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import pytest
from kit.once import copied, once
from kit.peer import GOOD, peer

import synthpert
from curation.asking.requests import endpoint
from curation.store import Store

README = (Path(__file__).parent.parent / "README.md").read_text()
MAKEFILE = (Path(__file__).parent.parent / "Makefile").read_text()


def block(after, language=""):
    """The first block of this language after these words."""
    return re.search(rf"```{language}\n(.*?)```", README[README.index(after) :], re.S)[1]


def run_block(text, run, **replace):
    for line in text.splitlines():
        for old, new in replace.items():
            line = line.replace(old, str(new))
        if line.startswith("synthpert"):
            done = run(*shlex.split(line)[1:])
            assert done.returncode == 0, f"{line}\n{done.stderr}"
        else:
            assert line.startswith("export")


def test_every_command_is_in_the_table():
    told = set(re.findall(r"^\| `synthpert ([\w -]+)` \|", README, re.M))
    assert told == set(synthpert.VERBS)


def test_every_make_target_named_exists():
    named = set(re.findall(r"make (\w+)", README)) - {"it", "the"}
    targets = set(re.findall(r"^(\w+):", MAKEFILE, re.M))
    assert {"demo", "test", "lint", "bench"} <= named & targets


def test_the_block_on_the_demo_runs(demo, run):
    shutil.copytree(demo[0], "demo")
    run_block(block("runs on the demo"), run)
    for command, printed in shown("first-look.md"):
        done = run(*shlex.split(command)[1:])
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert printed is None or done.stdout == printed, command


def test_the_real_data_block_the_python_and_the_recipe_run(run, benchmark, model, capsys):
    run_block(block("runs on real data"), run, PATH=benchmark)
    exec(block("Then train on it", "python"), {})
    exec(block("In Python, the functions", "python"), {})
    assert "'role': 'system'" in capsys.readouterr().out
    Path("my_filter.sql").write_text(block("Your own is a file", "sql"))
    done = run("build", "my_filter.sql", "--name", "perturb-traces")
    assert done.returncode == 0 and "perturb-traces 1.1.0" in done.stdout


def test_the_settings_block_is_taken(store, run):
    with peer(lambda n, body: (200, GOOD, {})) as (url, asked):
        Path("synthpert.toml").write_text(
            block("`synthpert.toml` in", "toml").replace("https://api.openai.com/v1", url)
        )
        assert run("generate", "--model", "o4-mini", "--limit", "1", env={**os.environ}).returncode == 0
    assert asked[0]["body"]["reasoning_effort"] == "medium"


def test_the_views_that_are_named_exist(filled, ask_json):
    named = ("splits", "candidates", "rejected", "funnel", "requests", "critics", "spend", "votes")
    counts = ", ".join(f"(SELECT count(*) FROM {view}) AS {view}" for view in named)
    (found,) = ask_json("--store", filled, "sql", f"SELECT {counts}")
    for view in named:
        assert f"`{view}`" in README and found[view] > 0


# -- docs/

DOCS = Path(__file__).parent.parent / "docs"


def blocks(page, language=""):
    found = re.findall(r"^```(\w*)\n(.*?)^```", (DOCS / page).read_text(), re.S | re.M)
    return [text for kind, text in found if kind == language]


def test_the_page_of_the_store_is_made_from_the_code():
    from docs.__main__ import page

    assert (DOCS / "store.md").read_text() == page().rstrip() + "\n", "run: python -m docs"


def shown(page):
    """Each command of a page with the output printed under it, None where there is none."""
    found = re.findall(
        r"^```\n(synthpert [^\n]*)\n```\n(?:```text\n(.*?)^```)?", (DOCS / page).read_text(), re.S | re.M
    )
    assert len(found) == len(re.findall("^synthpert ", (DOCS / page).read_text(), re.M))
    return [(command, printed or None) for command, printed in found]


def test_the_costs_told_are_those_that_plan_tells(run, real_store, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.openai.com/v1")
    copied(real_store, tmp_path / "store")
    assert blocks("making-traces.md", "text")[0] in run("plan", "--limit", "100", "--model", "o4-mini").stdout
    told = re.findall(r"^\| (.*) \| ([\d,]+) \| ([\d,.]+) \|$", (DOCS / "making-traces.md").read_text(), re.M)
    assert len(told) == 4
    for options, requests, dollars in told:
        given = re.findall(r"`(--\S+) (\S+)`", options)
        out = run("plan", "--model", "o4-mini", *(given[0] if given else ())).stdout
        assert out.startswith(f"{requests} requests") and f"cost: ${dollars};" in out


def test_every_reason_why_an_answer_or_grade_is_not_read_is_told():
    told = (DOCS / "making-traces.md").read_text()
    code = "".join((DOCS.parent / "curation" / "reading" / f).read_text() for f in ("answers.py", "evaluations.py"))
    reasons = set(re.findall(r'"((?:[a-z]+_)+[a-z]+|truncated|refusal)"', code)) - {
        "arrow_up",
        "arrow_down",
        "after_evaluation",
    }
    assert {"no_direction", "qualified_grade", "conflicting_answers"} <= reasons
    for reason in {r.replace("contains_answer", "reasoning contains_answer") for r in reasons}:
        assert f"`{reason}`" in told, reason


@pytest.fixture
def graded(ingested, model, run, tmp_path, tmp_path_factory):
    """A store, to write to, with the traces that the pages speak of."""

    def make(folder):
        copied(ingested, folder)
        for verb in ("generate", "grade"):
            assert run("--store", folder, verb, "--model", "o4-mini", "--limit", "300").returncode == 0

    return Store(copied(once(tmp_path_factory, "graded", make), tmp_path / "store"))


@pytest.mark.parametrize("page", ["making-traces.md", "selecting.md", "checks.md", "prompts.md"])
def test_every_command_of_a_page_runs(page, graded, run):
    Path("curation").symlink_to(DOCS.parent / "curation")
    for text in blocks(page, "sql"):
        Path("shorter.sql").write_text(text)
    lines = [line for text in blocks(page) for line in text.splitlines()]
    assert lines
    for line in lines:
        if line.startswith("synthpert"):
            done = run(*shlex.split(line)[1:])
            assert done.returncode == 0, f"{line}\n{done.stderr}"
        else:
            assert line.split()[0] in ("mkdir", "cp", "echo")
            subprocess.run(line, shell=True, check=True)


def test_every_block_of_the_page_on_python_runs_in_order(graded, capsys):
    names: dict = {}
    for text in blocks("python.md", "python"):
        exec(text, names)
    assert "EXAMPLE" in capsys.readouterr().out


def test_every_page_is_linked_from_the_readme_and_every_prompt_file_is_told():
    for page in DOCS.glob("*.md"):
        assert f"(docs/{page.name})" in README
    told = (DOCS / "prompts.md").read_text()
    for file in (DOCS.parent / "curation" / "prompts").glob("*.txt"):
        assert f"`{file.name}`" in told


def test_what_the_page_on_python_names_is_there_and_takes_paths_as_text(filled, benchmark, tmp_path):
    named = re.findall(r"`curation\.(\w+(?:\.\w+)*)\.(\w+)\(", (DOCS / "python.md").read_text())
    assert len(named) >= 9
    for module, function in named:
        assert callable(getattr(import_module(f"curation.{module}"), function))
    Path("answers.jsonl").write_text('{"id": "a", "text": "<answer>upregulated</answer>"}')
    from curation.examples import ingest
    from curation.parse import parse
    from curation.report import report

    assert parse("answers.jsonl", "generator")[0]["label"] == "upregulated"
    assert ingest(Store("new", create=True), str(benchmark)).new > 0
    assert report(Store(filled), "page.html")["out"] == "page.html" and Path("page.html").exists()


def test_a_notebook_does_not_show_the_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    shown = repr(endpoint("m"))
    assert "sk-secret" not in shown and "key='***'" in shown and "model='m'" in shown


def test_every_block_on_what_experts_found_runs(reviewed, run, tmp_path, capsys):
    shutil.copytree(reviewed, tmp_path / "store")
    assert run("build", "excellent", "--name", "demo-traces").returncode == 0
    for text in blocks("factuality.md"):
        run_block(text, run)
    for text in blocks("factuality.md", "python"):
        exec(text, {})
    assert "None no clause was judged by two annotators" in capsys.readouterr().out
