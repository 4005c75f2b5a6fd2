"""Build: a recipe becomes a dataset that loads, leaks nothing, and comes out the same to the byte."""

import hashlib
import json
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from kit.once import copied, once

from curation import recipes, rows
from curation.errors import RecipeError, VersionError
from curation.prompting import fill, load
from curation.rehearsal.server import serve
from curation.rows import SIDES
from curation.schema import LABELS
from curation.store import Store
from curation.versions import build


@pytest.fixture
def own(filled, tmp_path):
    """A copy of the filled store, to write to."""
    shutil.copytree(filled, tmp_path / "store")
    return Store(tmp_path / "store")


@pytest.fixture
def version(reviewed, tmp_path_factory):
    """The folder of a version by a shipped recipe, of the store where experts have judged; only read."""

    def of(name):
        return once(tmp_path_factory, f"built-{name}", lambda folder: _build(name, folder)) / "version"

    def _build(name, folder):
        build(Store(copied(reviewed, folder / "store")), name, f"d-{name}", out=folder / "version")

    return of


def read(folder, split, side):
    files = sorted((Path(folder) / split).glob(f"{side}-*.parquet"))
    return [row for f in files for row in pq.read_table(f).to_pylist()]


def digests(folder):
    return {f.relative_to(folder): hashlib.sha256(f.read_bytes()).hexdigest() for f in Path(folder).rglob("*.parquet")}


def recipe(text, name="mine"):
    file = Path(f"{name}.sql")
    file.write_text(text)
    return str(file)


def test_two_copies_of_a_store_give_the_same_bytes(own, tmp_path):
    shutil.copytree(own.place, tmp_path / "copy")
    one = build(own, "excellent", "d", out=str(tmp_path / "a"))
    two = build(Store(tmp_path / "copy"), "excellent", "d", out=tmp_path / "b")
    again = build(own, "excellent", "d", out=tmp_path / "c", version="1.1.0")
    assert one.row_hash == two.row_hash == again.row_hash
    assert digests("a") == digests("b") == digests("c") and len(digests("a")) == 9
    manifests = [json.loads(Path(f, "manifest.json").read_text()) for f in "ac"]
    differ = {k for k in manifests[0] if manifests[0][k] != manifests[1][k]}
    assert differ <= {"version", "previous", "created", "store", "files"}
    changed = {f for f in manifests[0]["files"] if manifests[0]["files"][f] != manifests[1]["files"][f]}
    assert changed == {"README.md", "croissant.json"}


def test_the_manifest_tells_the_truth(own, tmp_path):
    build(own, "excellent", "d", out=tmp_path / "a")
    told = json.loads(Path("a/manifest.json").read_text())
    assert told["files"] == {
        f.relative_to("a").as_posix(): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in Path("a").rglob("*") if f.is_file() and f.name != "manifest.json"
    }  # fmt: skip
    assert told["recipe"]["sql"] == recipes.load("excellent").sql
    for row in told["rows"]:
        assert len(read("a", row["split"], row["side"])) == row["n"] > 0
    assert told["prompts"]["generator"] and told["prompts"]["critic"]
    kept = own.rows("SELECT name, version, row_hash, rows FROM versions")
    total = sum(r["n"] for r in told["rows"])
    assert kept == [{"name": "d", "version": "1.0.0", "row_hash": told["row_hash"], "rows": total}]
    members = own.rows("SELECT split, side, count(*) AS n FROM members GROUP BY ALL")
    assert {(m["split"], m["side"]): m["n"] for m in members} == {
        (r["split"], r["side"]): r["n"] for r in told["rows"] if r["side"] != "test"
    }


@pytest.mark.parametrize("name", recipes.shipped())
def test_the_prompt_never_shows_the_outcome(version, name):
    """Over every row: the prompt is the pair's own, word for word, and ends before the assistant's turn."""
    folder, standard = version(name), load("standard")
    seen = 0
    for split in ("default", "rpe1_holdout", "unseen_pert"):
        for side in SIDES:
            for row in read(folder, split, side):
                prompt = [m for m in row["messages"] if m["role"] != "assistant"]
                pair = {k: row[k] for k in ("pert", "gene", "cell_line")}
                assert prompt == [
                    {"role": "system", "content": standard.system},
                    {"role": "user", "content": fill(standard.user, pair)},
                ]
                assert "Measured outcome" not in str(prompt)
                assert not any(label in prompt[1]["content"] for label in LABELS)
                said = [m["content"] for m in row["messages"][2:]]
                wanted = f"<answer>{row['label']}</answer>"
                if row["trace_id"]:
                    wanted = f"<think>\n{row['reasoning']}\n</think>\n{wanted}"
                assert said == ([] if side == "test" else [wanted])
                seen += 1
    assert seen > 500


@pytest.mark.parametrize("name", recipes.shipped())
def test_no_split_leaks(version, reviewed, name):
    folder, splits = version(name), Store(reviewed).rows("FROM splits")
    for split in ("default", "rpe1_holdout", "unseen_pert"):
        train, validation, test = (read(folder, split, side) for side in SIDES)
        assert {r["example_id"] for r in test} == {
            s["example_id"] for s in splits if s["split"] == split and s["side"] == "test"
        }
        allowed = {s["example_id"] for s in splits if s["split"] == split and s["side"] == "train"}
        assert {r["example_id"] for r in train + validation} <= allowed
        assert not {r["pert"] for r in train} & {r["pert"] for r in validation}
        ids = [r["trace_id"] or r["example_id"] for r in train + validation]
        assert len(ids) == len(set(ids))
        if split == "rpe1_holdout":
            assert {r["cell_line"] for r in train + validation} == {"K562", "HepG2", "Jurkat"}
            assert {r["cell_line"] for r in test} == {"RPE1"}
        if split == "unseen_pert":
            assert not {r["pert"] for r in train + validation} & {r["pert"] for r in test}
            assert {r["cell_line"] for r in test} == {"K562", "RPE1", "HepG2", "Jurkat"}


def test_validation_is_the_same_perturbations_in_every_split_and_version(own, tmp_path):
    build(own, "excellent", "d", out=tmp_path / "a")
    build(own, "direct", "e", out=tmp_path / "b")
    picked = {r["pert"] for r in read("b", "default", "validation")}
    for folder, split in (("a", "default"), ("a", "rpe1_holdout"), ("b", "rpe1_holdout")):
        assert {r["pert"] for r in read(folder, split, "validation")} <= picked


def test_the_shipped_recipes_select_what_they_say(version, reviewed):
    judged = Store(reviewed)

    def learned(name, split="default"):
        return read(version(name), split, "train") + read(version(name), split, "validation")

    assert all(r["grade"] == "excellent" and r["answer"] == r["label"] for r in learned("excellent"))
    clean = learned("expert_clean")
    assert clean and all(r["clauses_rated"] > 0 and r["answer"] == r["label"] for r in clean)
    assert {(r["clauses_false"], r["factuality"]) for r in clean} == {(0, 1.0)}
    asked = "SELECT count(*) AS n FROM candidates WHERE split = 'default' AND grade = 'excellent' AND answer = label"
    assert judged.rows(asked) == [{"n": len(learned("excellent"))}]
    for split in ("default", "rpe1_holdout", "unseen_pert"):
        labels = [r["label"] for r in learned("thirds", split)]
        by = [labels.count(label) for label in LABELS]
        excellent = [r["label"] for r in learned("excellent", split)]
        assert by == [min(excellent.count(label) for label in LABELS)] * 3
    assert {r["approach"] for r in learned("blind")} == {"blind"}
    assert all(r["answer"] == r["label"] for r in learned("blind"))
    train_side = "SELECT count(*) AS n FROM splits WHERE split = 'default' AND side = 'train'"
    assert judged.rows(train_side) == [{"n": len(learned("direct"))}]
    assert all(r["messages"][2]["content"] == f"<answer>{r['label']}</answer>" for r in learned("direct"))
    assert {r["reasoning"] for r in learned("direct")} == {None}


def test_thirds_holds_nothing_where_a_label_is_missing(own):
    text = recipes.load("thirds").sql.replace("AND answer = label", "AND answer = label AND label <> 'upregulated'")
    with pytest.raises(RecipeError, match="selects nothing"):
        build(own, recipe(text), "d")


BAD_RECIPES = {
    "SELECT trace_id FROM candidates WHERE grad = 'good'": "grad",
    "SELECT trace_id FROM candidate": "candidates",
    "SELECT trace_id candidates": "trace_id",
    "SELECT grade FROM candidates": "wanted trace_id or example_id",
    "SELECT trace_id FROM candidates WHERE false": "selects nothing for the split default",
    "SELECT c.trace_id FROM candidates c, range(2) WHERE c.correct": "more than once",
    "SELECT trace_id FROM traces WHERE approach = 'control'": "no candidate",
    "SELECT trace_id FROM candidates WHERE NOT correct": "not the measured label",
    "SELECT example_id FROM splits WHERE side = 'test' AND split = $split": "no candidate",
    "SELECT example_id FROM splits WHERE side = 'train' AND split = 'default'": "the split rpe1_holdout",
    "SELECT trace_id, -1 AS weight FROM candidates WHERE correct": "weight",
    "SELECT trace_id, 'x' AS weight FROM candidates WHERE correct": "weight",
    "SELECT NULL AS trace_id": "without an id",
    "SELECT 'nonsense' AS trace_id": "first nonsense",
    "COPY (SELECT 1) TO 'x.csv'": "only SELECT",
    "SELECT trace_id FROM candidates WHERE correct ORDER BY random() LIMIT 50": "other rows each time",
    "SELECT trace_id FROM candidates WHERE correct AND pert = (SELECT min(pert) FROM candidates)": "more than one",
}


@pytest.mark.parametrize("text", BAD_RECIPES)
def test_a_bad_recipe_is_one_line_and_writes_nothing(own, tmp_path, text):
    before = own.snapshot()
    with pytest.raises(RecipeError) as error:
        build(own, recipe(text), "d", out=tmp_path / "out")
    assert BAD_RECIPES[text] in str(error.value)
    assert "\n" not in str(error.value)
    if not re.match("COPY|.* min", text):  # no place: it is no SELECT at all, or what it selects cannot be parted
        assert re.fullmatch(r"mine\.sql:1: .*, at: \S.*", str(error.value))
    assert own.snapshot() == before and not (tmp_path / "out").exists()


def test_rehearsed_and_real_rows_are_never_one_dataset(own, monkeypatch, ask_json, run):
    """A real model's traces, graded by a real critic and by a rehearsed one, in a store with rehearsed traces."""
    from kit.peer import completion, peer

    own = Store(own.place)
    grade = completion("<reasoning>Fine.</reasoning><evaluation>excellent</evaluation>")

    def say(n, body):
        system = body["messages"][0]["content"]
        if "<evaluation>" in system:
            return 200, grade, {}
        outcome = system.rpartition("Measured outcome: ")[2]
        return 200, completion(f"<think>Because {n}.</think><answer>{outcome}</answer>"), {}

    with peer(say) as (url, asked):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        assert ask_json("generate", "--model", "real", "--limit", 40)["answered"] == 40
        assert ask_json("grade", "--model", "real")["asked"] == 40, "a real critic is not paid for rehearsed traces"
    rows = own.rows("SELECT critic, provider FROM traces WHERE generator = 'real'")
    assert {r["critic"].split("@")[0] for r in rows} == {"real"}
    with serve_again(monkeypatch):
        assert run("grade", "--model", "real").returncode == 0
    assert {r["critic"] for r in rows} == {
        r["critic"] for r in own.rows("SELECT critic FROM traces WHERE generator = 'real'")
    }
    assert own.rows("SELECT len(grades) AS n FROM traces WHERE generator = 'real' LIMIT 1") == [{"n": 2}]


def test_a_selection_of_rehearsed_and_real_rows_is_refused(tmp_path, monkeypatch, benchmark, ask_json, run):
    from kit.peer import completion, peer

    real = tmp_path / "real"
    shutil.copytree(benchmark, real)
    (real / "source.json").write_text('{"source": "real one", "licence": "none"}')
    assert run("ingest", real).returncode == 0
    with serve_again(monkeypatch):
        assert run("generate", "--model", "m", "--limit", 100).returncode == 0
    up = completion("<think>Because.</think><answer>not differentially expressed</answer>")
    with peer(lambda n, body: (200, up, {})) as (url, _):
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        assert run("generate", "--model", "m", "--limit", 100).returncode == 0
    mixed = recipe("SELECT trace_id FROM candidates WHERE correct")
    done = run("build", mixed, "--name", "d")
    assert done.returncode == 1 and "are simulated; a dataset is one or the other" in done.stderr
    real_only = recipe("SELECT trace_id FROM candidates WHERE correct AND NOT simulated", "real_only")
    assert run("build", real_only, "--name", "d", "--out", "d").returncode == 0
    assert "Simulated" not in Path("d/README.md").read_text()


@contextmanager
def serve_again(monkeypatch):
    with serve() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield


def test_an_own_recipe_with_weights(own, tmp_path):
    text = "-- Twice the weight for up.\nSELECT trace_id, CASE label WHEN 'upregulated' THEN 2 ELSE 1 END AS weight "
    build(own, recipe(text + "FROM candidates WHERE correct"), "d", out=tmp_path / "a")
    train = read("a", "default", "train")
    assert {(r["label"] == "upregulated", r["weight"]) for r in train} == {(True, 2.0), (False, 1.0)}
    assert "Twice the weight for up." in Path("a/README.md").read_text()


def test_versions_count_up_and_the_same_rows_are_not_written_again(own, run, ask_json):
    assert ask_json("build", "excellent", "--name", "d") | {"rows": 0} == {
        "name": "d", "version": "1.0.0", "out": "d-1.0.0", "rows": 0,
        "row_hash": ask_json("sql", "SELECT row_hash FROM versions")[0]["row_hash"],
    }  # fmt: skip
    done = run("build", "excellent", "--name", "d")
    assert done.returncode == 0 and "nothing written" in done.stdout and not Path("d-1.1.0").exists()
    assert ask_json("build", "thirds", "--name", "d")["version"] == "1.1.0"
    assert ask_json("build", "excellent", "--name", "d", "--version", "2.0.0")["version"] == "2.0.0"
    assert ask_json("build", "blind", "--name", "d")["version"] == "2.1.0"
    assert [p.name for p in sorted(Path().glob("d-*"))] == ["d-1.0.0", "d-1.1.0", "d-2.0.0", "d-2.1.0"]


def test_what_stands_in_the_way_is_said(own, tmp_path):
    build(own, "excellent", "d", out=tmp_path / "a")
    (tmp_path / "file").write_text("x")
    for options, words in (
        ({"out": tmp_path / "a"}, "not empty"),
        ({"out": tmp_path / "file"}, "is a file"),
        ({"out": Path(own.place) / "x"}, "inside the store"),
        ({"version": "1.0.0"}, "exists"),
        ({"version": "v2"}, "semantic"),
    ):
        with pytest.raises(VersionError, match=words):
            build(own, "thirds", "d", **options)
    with pytest.raises(VersionError, match="--name"):
        build(own, "thirds", "../d")
    with pytest.raises(
        RecipeError,
        match="shipped are blind, .*expert_clean, .*no_answer_leak, thirds",
    ):
        build(own, "nope", "d")
    with pytest.raises(RecipeError, match=r"nope.sql"):
        build(own, "nope.sql", "d")
    assert not list(tmp_path.glob(".*partial"))


def test_it_loads_by_name_of_the_split_with_its_declared_features(own, tmp_path, monkeypatch):
    from datasets import Features, load_dataset

    build(own, "excellent", "d", out=tmp_path / "one" / "d")
    build(own, "thirds", "d", out=tmp_path / "two" / "d")
    for split in ("default", "rpe1_holdout", "unseen_pert"):
        first = load_dataset(str(tmp_path / "one" / "d"), split)
        assert {s: len(first[s]) for s in first} == {s: len(read("one/d", split, s)) for s in SIDES}
        assert first["train"].features == Features.from_arrow_schema(rows.SCHEMA)
        # another folder of the same name: datasets would hand out the first one's rows, but for the card's hash
        second = load_dataset(str(tmp_path / "two" / "d"), split)
        assert len(second["train"]) == len(read("two/d", split, "train")) < len(first["train"])
    assert len(load_dataset(str(tmp_path / "one" / "d"))["train"]) == len(read("one/d", "default", "train"))


def test_many_rows_are_sharded(own, tmp_path, monkeypatch):
    from datasets import load_dataset

    monkeypatch.setattr("curation.folders.SHARD_ROWS", 100)
    build(own, "excellent", "d", out=tmp_path / "a")
    names = sorted(f.name for f in Path("a/default").glob("test-*"))
    assert names == [f"test-{n:05}-of-00007.parquet" for n in range(7)]
    assert len(load_dataset("a", "default")["test"]) == len(read("a", "default", "test")) == 648


def test_the_card_says_what_a_reader_must_know(own, tmp_path):
    import yaml

    build(own, "excellent", "d", out=tmp_path / "a")
    text = Path("a/README.md").read_text()
    head, body = text.split("---\n")[1], text.split("---\n", 2)[2]
    facts = yaml.safe_load(head)
    assert [c["config_name"] for c in facts["configs"]] == ["default", "rpe1_holdout", "unseen_pert"]
    assert body.startswith("> **Simulated.**")
    for words in (
        "# d 1.0.0", "m@", load("critic").hash, load("explain").hash, load("standard").hash, "CC0-1.0",
        "synthpert ingest PATH", "synthpert generate --split default --per-label 150 --approach explain --model m",
        "synthpert grade --split default --per-label 150 --model m",
        "synthpert rebuild d@1.0.0", "synthpert build excellent --name d --version 1.0.0",
        recipes.load("excellent").sql.strip(), "terms of whoever served the generator", "## Intended use and limits",
        "asked | answered",
        "The benchmark is made up, and a scripted model",
    ):  # fmt: skip
        assert words in body, words
    told = json.loads(Path("a/manifest.json").read_text())
    for row in told["rows"]:
        lines = [r for r in body.splitlines() if r.startswith(f"| {row['split']} | {row['side']} | ")]
        counts = [int(line.split("|")[-2].replace(",", "")) for line in lines if "%" not in line]
        assert sum(counts) == row["n"]
