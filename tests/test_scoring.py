"""Scoring: what the rows of scores say, of which cases, and what the commands print of it."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from kit import experts, scored
from kit.scored import DOWN, LINES, MEASURED, NONE, UP, by, guessed, laid, predicted, probabilities, value
from sklearn.metrics import accuracy_score, roc_auc_score

from curation.printing import markdown, table
from curation.published import open_dataset
from curation.store import Store
from curation.versions import build
from eval import factuality, predictions, scoring, showing, tables
from eval.words import DE, DIRECTION

FIELDS = ["split", "task", "cell_line", "model", "kind", "metric", "rows", "value", "low", "high", "n", "unanswered",
          "coverage", "score_kind"]  # fmt: skip


@pytest.fixture(scope="module")
def hard():
    return scored.hard()


def test_rows_have_the_fields_that_are_promised_and_each_stands_once(hard):
    assert list(hard[0])[: len(FIELDS)] == FIELDS
    keys = [tuple(r[k] for k in ("split", "task", "cell_line", "model", "metric", "rows")) for r in hard]
    assert len(keys) == len(set(keys))
    assert {r["cell_line"] for r in hard} == {"all", *LINES} and {r["task"] for r in hard} == {"three-class", DE}
    assert {r["score_kind"] for r in hard} == {"hard"} and {r["kind"] for r in hard} == {"model"}


def test_scores_are_those_of_scikit_learn_on_the_answers(hard):
    said = [a or "none" for a in guessed(MEASURED)]
    truth = MEASURED["label"].to_pylist()
    assert value(hard, "accuracy", task="three-class") == pytest.approx(accuracy_score(truth, said))
    changed = np.array([label != NONE for label in truth], int)
    score = np.array([{UP: 1.0, DOWN: 1.0, NONE: 0.0}.get(a, 0.5) for a in said])
    assert value(hard, "auroc_pooled", task=DE) == pytest.approx(roc_auc_score(changed, score))
    own = [line == "K562" for line in MEASURED["cell_line"].to_pylist()]
    of_line = value(hard, "auroc_pooled", task=DE, cell_line="K562")
    assert of_line == pytest.approx(roc_auc_score(changed[own], score[own]))


def test_over_all_lines_a_gene_counts_in_each_line_by_itself(hard):
    genes = [value(hard, "auroc_per_gene", task=DE, cell_line=line) for line in LINES]
    counts = [by(hard, metric="auroc_per_gene", task=DE, cell_line=line)[0]["genes"] for line in LINES]
    assert value(hard, "auroc_per_gene", task=DE) == pytest.approx(np.average(genes, weights=counts))


def test_intervals_hold_the_value_and_the_same_seed_gives_the_same(hard):
    some = [r for r in hard if r["low"] is not None]
    assert len(some) > 50 and all(r["low"] <= r["value"] <= r["high"] for r in some)
    assert scoring.score([laid({"answer": guessed(MEASURED)})], rounds=200) == hard
    assert scoring.score([laid({"answer": guessed(MEASURED)})], rounds=200, seed=1) != hard


def test_cases_without_an_answer_are_counted_and_told_three_ways(hard):
    said, truth = guessed(MEASURED), MEASURED["label"].to_pylist()
    none = sum(a is None for a in said)
    assert by(hard, metric="accuracy", task="three-class")[0]["unanswered"] == none > 0
    right = sum(a == b for a, b in zip(said, truth, strict=True))
    n = len(said)
    assert value(hard, "accuracy_unanswered_half", task="three-class") == pytest.approx((right + none / 2) / n)
    assert value(hard, "accuracy_unanswered_left_out", task="three-class") == pytest.approx(right / (n - none))
    wrong, half, left = (
        value(hard, f"auroc_pooled{how}", task=DE) for how in ("_unanswered_wrong", "", "_unanswered_left_out")
    )
    assert wrong < half < left
    changed = np.array([label != NONE for label in truth], int)
    kept = [a is not None for a in said]
    score = np.array([float(a in (UP, DOWN)) for a in said])
    assert left == pytest.approx(roc_auc_score(changed[kept], score[kept]))
    against = np.where(kept, score, 1 - changed)
    assert wrong == pytest.approx(roc_auc_score(changed, against))


def test_where_everything_is_answered_nothing_is_told_three_ways():
    rows = scoring.score([laid({"answer": guessed(MEASURED, gaps=0)})], rounds=100)
    assert not any("unanswered_" in r["metric"] for r in rows)


def test_missing_predictions_lower_the_coverage_and_mark_the_model():
    some = MEASURED.slice(0, 100)
    rows = scoring.score([laid({"answer": guessed(some)}, rows=some)], rounds=100)
    assert by(rows, metric="accuracy", task=DE)[0]["coverage"] == pytest.approx(100 / MEASURED.num_rows)
    assert not by(rows, cell_line="RPE1")  # nothing of it was predicted
    shown = showing.text(rows, table)
    assert "m *" in shown and "41.7 % of what was to be predicted" in shown
    unknown = scoring.score([laid({"answer": guessed(some)}, rows=some, whole=False)], rounds=100)
    assert unknown[0]["coverage"] is None


def test_parts_of_the_rows_are_scored_apart():
    ids = MEASURED["example_id"].to_pylist()
    subsets = {"default": {"clean": set(ids[:40]), "resistant": set(ids[40:100])}}
    rows = scoring.score([laid({"answer": guessed(MEASURED)})], subsets, rounds=100)
    n = {part: by(rows, metric="accuracy", task=DE, rows=part)[0]["n"] for part in ("all", "clean", "resistant")}
    assert n == {"all": 240, "clean": 40, "resistant": 60}
    said, truth = guessed(MEASURED)[:40], MEASURED["label"].to_pylist()[:40]
    right = sum(a == b for a, b in zip(said, truth, strict=True))
    assert value(rows, "accuracy", task="three-class", rows="clean") == pytest.approx(right / 40)


def test_probabilities_have_a_calibration_and_hard_answers_none(hard):
    rows = scoring.score([laid(probabilities(MEASURED))], rounds=100)
    assert value(rows, "brier", task=DE) < 0.25 and 0 < value(rows, "calibration_error", task=DE) < 1
    assert {r["score_kind"] for r in rows} == {"given"}
    assert not by(hard, metric="brier")


def test_a_score_alone_has_aurocs_and_nothing_else():
    p = probabilities(MEASURED)
    rows = scoring.score([laid({"score": 1e6 * (p["p_up"] + p["p_down"])})], rounds=100)
    assert {r["metric"] for r in rows} == {"auroc_per_gene", "auroc_pooled"} and {r["task"] for r in rows} == {DE}
    same = scoring.score([laid(p)], rounds=100)
    assert value(rows, "auroc_per_gene") == pytest.approx(value(same, "auroc_per_gene", task=DE))


def test_too_few_perturbations_have_no_interval_and_say_why():
    few = MEASURED.slice(0, 30)
    [row] = by(scoring.score([laid({"answer": guessed(few)}, few)], rounds=100), metric="accuracy", task=DE)
    assert row["low"] is None and "fewer than 4 perturbations" in row["why"]


def test_a_majority_answer_is_at_chance_in_both_aurocs():
    rows = scoring.score([laid({"answer": [NONE] * 240}, model="baseline: majority")], rounds=100)
    assert value(rows, "auroc_per_gene") == value(rows, "auroc_pooled") == 0.5
    assert value(rows, "accuracy", task="three-class") > 0.5 and rows[0]["kind"] == "baseline"
    assert value(rows, "precision_up", task="three-class") is None  # was never named
    assert value(rows, "mcc", task=DE) == 0


# -- as text


def test_tables_of_text_and_markdown_tell_metric_kind_and_genes(hard):
    shown = showing.text(hard, table)
    genes = by(hard, metric="auroc_per_gene", task=DE)[0]["genes"]
    assert f"m: {genes:,} genes have both classes" in shown and "Scores: m hard." in shown
    assert "default, differential expression: auroc_per_gene by cell line" in shown
    marked = showing.text(hard, markdown, "### {}")
    assert "### default, three-class: accuracy by cell line" in marked and "| m | all |" in marked


# -- the commands


@pytest.fixture
def written():
    predictions.write(predicted(MEASURED, {"answer": guessed(MEASURED)}, model="one"), "one.parquet")
    predictions.write(predicted(MEASURED, probabilities(MEASURED), model="two"), "two.parquet")


def test_score_prints_text_markdown_and_json_and_writes_a_page(written, run, ask_json):
    done = run("score", "one.parquet", "two.parquet", "--rounds", "100", "--out", "report.html")
    assert done.returncode == 0 and "auroc_per_gene by cell line" in done.stdout, done.stderr
    page = Path("report.html").read_text()
    assert "Scored without the dataset" in page and page.count("<svg role") >= 5 and "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    rows = ask_json("score", "one.parquet", "--rounds", "100")
    assert list(rows[0])[: len(FIELDS)] == FIELDS and json.dumps(rows)
    assert "### default" in run("score", "one.parquet", "--rounds", "100", "--markdown").stdout


def test_one_model_in_two_files_is_told_apart_by_the_files(written, ask_json):
    Path("again.parquet").write_bytes(Path("one.parquet").read_bytes())
    rows = ask_json("score", "one.parquet", "again.parquet", "--rounds", "100")
    assert {r["model"] for r in rows} == {"one (one)", "one (again)"}


def test_compare_and_tables_as_commands(written, run, ask_json):
    found = ask_json("compare", "one.parquet", "two.parquet", "--rounds", "100")
    assert (found["a"], found["b"], found["both"]) == ("one", "two", 240) and found["changed"] and found["moves"]
    done = run("tables", "one.parquet", "--rounds", "100")
    assert done.returncode == 0 and "Table 4." in done.stdout and "this toolkit" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("score", "none.parquet"),
            "synthpert: none.parquet: found no such file, wanted a Parquet file of predictions",
        ),
        (("score", "one.parquet", "--dataset", "nowhere"), "synthpert: nowhere: found no such folder"),
        (("score", "one.csv", "--input", "csv"), "synthpert: --input csv: name the dataset"),
        (("compare", "one.parquet", "none.parquet"), "synthpert: none.parquet: found no such file"),
    ],
)
def test_what_cannot_be_scored_is_one_clear_line(arguments, line, written, run):
    done = run(*arguments)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.startswith(line), done.stderr
    assert done.stderr.count("\n") == 1


def test_direction_has_its_own_task(written, ask_json):
    changed = MEASURED.filter(pa.array([label != NONE for label in MEASURED["label"].to_pylist()]))
    said = [NONE if n % 9 == 0 else a for n, a in enumerate(guessed(changed, gaps=0))]
    predictions.write(predicted(changed, {"answer": said}, task=DIRECTION), "direction.parquet")
    rows = ask_json("score", "direction.parquet", "--rounds", "100")
    assert {r["task"] for r in rows} == {DIRECTION}
    assert by(rows, metric="accuracy")[0]["unanswered"] == sum(a == NONE for a in said)


# -- with a dataset


@pytest.fixture(scope="module")
def version(filled, tmp_path_factory):
    """The folder of a version, and the store that it was built from."""
    folder = tmp_path_factory.mktemp("version")
    shutil.copytree(filled, folder / "store")
    store = Store(folder / "store")
    return Path(build(store, "excellent", "perturb-traces", out=folder / "perturb-traces-1.0.0").out), store


def of(version, split="default"):
    """A test side of the version."""
    return open_dataset(str(version[0])).table(split, "test", MEASURED.column_names)


def test_with_its_dataset_a_score_stands_beside_baselines_and_clean_and_resistant_rows(version, ask_json):
    side = of(version)
    some = side.slice(0, side.num_rows - 7)
    predictions.write(predicted(some, {"answer": guessed(some)}, dataset="perturb-traces@1.0.0"), "p.parquet")
    rows = ask_json("score", "p.parquet", "--dataset", version[0], "--rounds", "100", "--out", "page.html")
    assert "<b>Simulated.</b>" in Path("page.html").read_text()
    assert {"baseline: majority", "baseline: pair-else-gene", "baseline: random"} <= {r["model"] for r in rows}
    assert {r["rows"] for r in rows} == {"all", "clean", "resistant"}
    [mine] = by(rows, model="m", task=DE, metric="auroc_per_gene")
    assert mine["coverage"] == pytest.approx(some.num_rows / side.num_rows)
    [majority] = by(rows, model="baseline: majority", task=DE, metric="auroc_per_gene")
    assert (majority["value"], majority["kind"], majority["n"]) == (0.5, "baseline", side.num_rows)
    more = ask_json("--store", version[1].place, "score", "p.parquet", "--dataset", version[0], "--rounds", "100")
    assert by(more, model="m", metric="accuracy") == by(rows, model="m", metric="accuracy")
    assert [r["value"] for r in more if r["kind"] == "baseline"] != [
        r["value"] for r in rows if r["kind"] == "baseline"
    ]


def test_predictions_of_another_split_and_baselines_given_as_a_file(version, run, ask_json):
    other = of(version, "rpe1_holdout")
    known = set(of(version)["example_id"].to_pylist())
    other = other.filter(pa.array([e not in known for e in other["example_id"].to_pylist()]))
    predictions.write(predicted(other, {"answer": guessed(other)}), "p.parquet")
    done = run("score", "p.parquet", "--dataset", version[0])
    assert done.returncode == 1 and "wanted ids of the test side of default" in done.stderr
    assert (
        "is an example of the t" in done.stderr and done.stderr.count("\n") == 2
    )  # and a remark on the dataset's name
    side = of(version)
    predictions.write(predicted(side, {"answer": guessed(side)}, model="baseline: majority"), "given.parquet")
    rows = ask_json("score", "given.parquet", "--dataset", version[0], "--rounds", "100")
    assert len(by(rows, model="baseline: majority", metric="accuracy", task=DE)) == 1


def test_a_csv_of_another_program_is_scored(version, run, ask_json):
    side = of(version)
    lines = [f"{r['cell_line']},{r['pert']},{r['gene']},{n % 7}" for n, r in enumerate(side.to_pylist())]
    Path("gears.csv").write_text("\n".join(["cell_line,pert,gene,score", *lines[5:], "K562,NO,SUCH,1"]))
    done = run("--json", "score", "gears.csv", "--input", "csv", "--dataset", version[0], "--rounds", "100")
    assert done.returncode == 0 and "1 lines are about no example of this side" in done.stderr
    [row] = by(json.loads(done.stdout), model="gears", metric="auroc_pooled")
    assert row["n"] == side.num_rows - 5 and row["coverage"] < 1 and row["score_kind"] == "given"


def test_what_experts_found_in_predictions_stands_beside_the_papers_figures(version, ask_json, tmp_path):
    shutil.copytree(version[1].place, tmp_path / "store")
    store = Store(tmp_path / "store")
    side = of(version).slice(0, 40)
    answers = [r["label"] if n % 2 else UP for n, r in enumerate(side.to_pylist())]
    rows = [{"example_id": r["example_id"], "answer": a, "reasoning": "One. Two.", "task": "three-class", "model": "m"}
            for r, a in zip(side.to_pylist(), answers, strict=True)]  # fmt: skip
    experts.add(store, "predictions", rows)
    experts.a_round(store)
    held = store.rows("SELECT p.prediction_id, p.answer = e.label AS correct FROM predictions AS p JOIN examples AS e "
                      "USING (example_id)")  # fmt: skip
    clauses = [{"subject": "prediction", "subject_id": p["prediction_id"], "n": n, "start_char": 5 * n,
                "end_char": 5 * n + 4, "text": ("One.", "Two.")[n], "segmenter": "test"}
               for p in held for n in (0, 1)]  # fmt: skip
    experts.add(store, "clauses", clauses)
    right = {p["prediction_id"]: p["correct"] for p in held}
    said = [experts.verdict(c["clause_id"], who, "TRUE" if right[c["subject_id"]] or c["n"] else "FALSE", level=level)
            for c in store.rows("FROM raw.clauses WHERE subject = 'prediction'")
            for who, level in (("ada", "gene"), ("ben", "gene"))]  # fmt: skip
    experts.add(store, "verdicts", said)
    found = {(r["predictions"], r["level"]): r for r in factuality.of_predictions(store)}
    assert found["right", "all"]["factuality"] == 1 and found["wrong", "all"]["factuality"] == 0.5
    assert found["wrong", "gene"]["share"] == 1 and found["wrong", "all"]["unrated"] == 0
    predictions.write(predicted(side, {"answer": answers}), "p.parquet")
    shown = [r for r in ask_json("--store", store.place, "tables", "p.parquet", "--rounds", "100") if r["table"] == "B"]
    assert [(r["predictions"], r["factuality"]) for r in shown if r["source"] != tables.OURS] == [
        ("right", 0.92), ("wrong", 0.76)]  # fmt: skip
    assert len(shown) > 2


def test_every_command_and_block_of_the_page_on_scoring_runs(version, run, capsys):
    page = (Path(__file__).parent.parent / "docs" / "evaluation.md").read_text()
    Path("perturb-traces-1.0.0").symlink_to(version[0])
    side = of(version)
    for name in ("predictions", "base", "tuned"):
        predictions.write(predicted(side, {"answer": guessed(side)}, model=name), f"{name}.parquet")
    lines = [f"{r['cell_line']},{r['pert']},{r['gene']},{n}" for n, r in enumerate(side.to_pylist())]
    Path("gears.csv").write_text("\n".join(["cell_line,pert,gene,score", *lines]))
    [block] = re.findall(r"^```\n(.*?)^```", page, re.S | re.M)
    for line in block.splitlines():
        done = run(*shlex.split(line)[1:], "--rounds", "100")
        assert done.returncode == 0 and done.stdout, f"{line}\n{done.stderr}"
    [python] = re.findall(r"^```python\n(.*?)^```", page, re.S | re.M)
    exec(python, {})
    assert capsys.readouterr().out.splitlines() == ["0.875 (2, 1)", "0.8125", "0.5"]
    for metric in {re.sub("_(up|down|none|de)$", "_X", r) for r in ("precision_up", "accuracy", "brier", "mcc")}:
        assert f"`{metric}`" in page
