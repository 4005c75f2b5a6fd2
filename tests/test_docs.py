"""The README: every command is in it, and every block of it runs."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from conftest import COMMAND
from kit.peer import GOOD, peer

import synthpert

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
    told = set(re.findall(r"^\| `synthpert (\w+)` \|", README, re.M))
    assert told == set(synthpert.VERBS)


def test_every_make_target_named_exists():
    named = set(re.findall(r"make (\w+)", README)) - {"it", "the"}
    targets = set(re.findall(r"^(\w+):", MAKEFILE, re.M))
    assert {"demo", "test", "lint", "bench"} <= named & targets


def test_the_block_on_the_demo_runs(run):
    assert subprocess.run([*COMMAND, "demo"], capture_output=True).returncode == 0
    run_block(block("runs on the demo"), run)


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


@pytest.mark.parametrize("view", ["splits", "candidates", "rejected", "funnel", "requests", "critics", "spend"])
def test_the_views_that_are_named_exist(view, filled, ask_json):
    assert f"`{view}`" in README
    assert ask_json("--store", filled, "sql", f"SELECT count(*) AS n FROM {view}")[0]["n"] > 0


# -- docs/

DOCS = Path(__file__).parent.parent / "docs"


def blocks(page, language=""):
    found = re.findall(r"^```(\w*)\n(.*?)^```", (DOCS / page).read_text(), re.S | re.M)
    return [text for kind, text in found if kind == language]


def test_the_page_of_the_store_is_made_from_the_code():
    from docs.__main__ import page

    assert (DOCS / "store.md").read_text() == page().rstrip() + "\n", "run: python -m docs"


@pytest.fixture
def graded(store, model, run):
    for verb in ("generate", "grade"):
        assert run(verb, "--model", "o4-mini", "--limit", "300").returncode == 0
    return store


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
