"""The main job, as the demo runs it: from nothing to a dataset that `datasets` alone reads."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

from conftest import SERVER
from kit.once import copied

from curation.store import Store


def test_it_ends_with_the_funnel_the_call_and_what_is_next(demo):
    out = demo[1].stdout
    for words in ("split", "asked", "answered", "parsed", "correct", "graded", "excellent", "in_dataset"):
        assert words in out.splitlines()[1]
    assert "load_dataset('demo/perturb-traces-1.0.0', \"default\")" in out
    assert "synthpert ingest PATH" in out
    assert "7. train: a tiny model on" in demo[1].stderr and (demo[0] / "tiny-lora" / "README.md").exists()
    funnel = [line.split() for line in out.splitlines() if line.startswith(("default", "rpe1_holdout", "unseen_pert"))]
    for _, *steps in funnel:
        asked, answered, parsed, correct, graded, excellent, kept = map(int, steps)
        assert asked == answered > parsed > correct > excellent == kept and parsed >= graded


def test_the_dataset_loads_with_datasets_alone_elsewhere(demo, tmp_path):
    code = f"""
import json, sys
from datasets import load_dataset
counts = {{c: {{s: len(d) for s, d in load_dataset({str(demo[0] / "perturb-traces-1.0.0")!r}, c).items()}}
          for c in ("default", "rpe1_holdout", "unseen_pert")}}
assert "curation" not in sys.modules
print(json.dumps(counts))
"""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    for sides in json.loads(done.stdout).values():
        assert sides["train"] >= 60 and sides["validation"] >= 5 and sides["test"] >= 60


def test_without_the_servers_environment_the_review_is_one_line(demo):
    told = [line for line in demo[1].stderr.splitlines() if line.startswith("5. review")]
    assert len(told) == 1
    if not SERVER:
        assert "skipped: the annotation server's environment cannot be made" in told[0]
        assert "annotate report" not in demo[1].stdout


def test_three_experts_judge_through_a_real_server(server_environment, demo):
    clauses = int(re.search(r"^5\. review: (\d+) clauses of 20 traces, \d+ verdicts", demo[1].stderr, re.M)[1])
    store = Store(demo[0] / "store")
    assert store.rows("SELECT count(*) AS n FROM placed")[0]["n"] == clauses >= 60
    found = store.rows("SELECT count(*) AS n, avg(factuality) AS f FROM traces WHERE clauses_rated > 0")[0]
    assert found["n"] >= 15 and 0.5 < found["f"] < 1, "the scripted model is mostly right, and not always"
    card = (demo[0] / "perturb-traces-1.0.0" / "README.md").read_text()
    assert "No expert has looked" not in card and "sentence by sentence" in card


def test_both_models_are_scored_beside_what_rules_get(demo):
    told = re.search(
        r"^8\. score: balanced accuracy of rehearsal-model (0\.\d+), tiny-model\+tiny-lora (0\.\d+); "
        r"the best baseline: [\w-]+ (0\.\d+)$",
        demo[1].stderr,
        re.M,
    )
    scripted, tiny, best = map(float, told.groups())
    assert tiny < 0.34 <= best < scripted, "the planted world is what the scripted model knows, and no rule does"


def test_what_it_says_to_type_next_works(demo, run):
    copied(demo[0], "demo")
    lines = [line.strip() for line in demo[1].stdout.splitlines() if line.startswith("  synthpert --store")]
    assert len(lines) == 4 + SERVER
    for line in lines:
        done = run(*shlex.split(line)[1:])
        assert done.returncode == 0, done.stderr


def test_it_begins_afresh_in_its_own_folder_and_in_no_other(demo, run, tmp_path):
    mine = shutil.copytree(demo[0], tmp_path / "demo")
    (mine / "left-over").touch()
    done = run("demo", "--data", "nowhere")  # it ends where it would read that, and has begun by then
    assert done.returncode == 1 and "nowhere" in done.stderr
    assert not (mine / "left-over").exists() and not list((mine / "store").glob("examples/*.parquet"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    done = run("demo", "--out", "mine")
    assert done.returncode == 1 and "something else" in done.stderr
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_it_walks_over_the_real_benchmark(perturbqa, ask_json):
    result = ask_json("demo", "--data", perturbqa, "--out", "real")
    tests = {r["split"]: r["n"] for r in result["version"]["rows"] if r["side"] == "test"}
    assert tests == {"default": 116_041, "rpe1_holdout": 187_089, "unseen_pert": 120_360}
