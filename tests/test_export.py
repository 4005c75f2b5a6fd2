"""Export: a side of a dataset in the forms that other trainers read, which come back as the same rows."""

import csv
import hashlib
import json
import resource
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import COMMAND
from kit.tiny import FAMILIES, family

from curation.errors import BadInput
from curation.examples import ingest
from curation.exporting import export
from curation.importing import import_traces
from curation.published import open_dataset
from curation.rendering import check, render
from curation.rows import COLUMNS
from curation.store import Store


def rows(dataset, side="train", split="default"):
    return open_dataset(str(dataset)).table(split, side).to_pylist()


def jsonl(file):
    return [json.loads(line) for line in Path(file).read_text("utf-8").splitlines()]


def test_a_file_holds_the_side_that_was_asked_for(dataset, run, ask_json):
    for split, side in (("default", "validation"), ("unseen_pert", "train")):
        name = f"{split}.jsonl"
        told = ask_json(
            "export", dataset, "--format", "openai", "--output", name, "--split", split, "--side", side
        )  # fmt: skip
        wanted = rows(dataset, side, split)
        assert told["rows"] == len(wanted) and told["written"]
        assert [r["messages"] for r in jsonl(name)] == [r["messages"] for r in wanted]
    done = run("export", dataset, "--format", "openai", "--output", "-", "--side", "validation")
    assert done.stdout == Path("default.jsonl").read_text()
    assert f"rows of {dataset}" in done.stderr


def test_openai_takes_the_file(dataset):
    """By its documented rules: an object a line with `messages`, known roles, no empty text, an answer at the end."""
    export(str(dataset), "openai", "out.jsonl")
    lines = jsonl("out.jsonl")
    assert len(lines) >= 10
    for line in lines:
        assert line.keys() == {"messages"}
        assert [m["role"] for m in line["messages"]] == ["system", "user", "assistant"]
        assert all(m.keys() == {"role", "content"} and m["content"].strip() for m in line["messages"])


def test_trl_reads_the_file_and_trains_on_what_we_train_on(dataset):
    from datasets import load_dataset
    from trl.data_utils import is_conversational, maybe_apply_chat_template

    export(str(dataset), "trl", "out.jsonl")
    loaded = load_dataset("json", data_files="out.jsonl", split="train")
    given = rows(dataset)
    assert loaded.column_names == ["prompt", "completion"] and len(loaded) == len(given)
    tokenizer = family("qwen-2.5")
    for row, ours in zip(loaded, given, strict=True):
        assert is_conversational(row)
        assert row["prompt"] + row["completion"] == ours["messages"]
        text = maybe_apply_chat_template(row, tokenizer)
        rendered = render(tokenizer, ours["messages"])
        assert check(tokenizer, rendered, ours["reasoning"]) is None
        assert text["prompt"] == rendered.prompt and text["completion"].startswith(rendered.completion)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_trainer_takes_the_prompt_and_completion_of_every_family(dataset, name):
    export(str(dataset), "trl", "out.jsonl", side="validation")
    tokenizer = family(name)
    for row, ours in zip(jsonl("out.jsonl"), rows(dataset, "validation"), strict=True):
        assert render(tokenizer, row["prompt"] + row["completion"]) == render(tokenizer, ours["messages"])


@pytest.mark.parametrize("kind", ["trl", "openai", "csv"])
def test_a_format_that_cannot_say_that_rows_are_simulated_is_told_of(dataset, run, kind):
    n = len(rows(dataset, "validation"))
    for output in ("out", "-"):
        done = run("export", dataset, "--format", kind, "--output", output, "--side", "validation")
        told = f"simulated: this format has no place to say so ({n:,} of {n:,} rows)\n"
        assert done.returncode == 0 and (told in done.stderr) == (kind != "csv"), done.stderr
    assert export(str(dataset), kind, "out", side="validation").unmarked == (0 if kind == "csv" else n)


def test_a_test_row_is_a_prompt_alone(dataset):
    export(str(dataset), "trl", "out.jsonl", side="test")
    given = rows(dataset, "test")
    assert jsonl("out.jsonl") == [{"prompt": r["messages"]} for r in given] and given
    with pytest.raises(BadInput, match="without an answer"):
        export(str(dataset), "openai", "out2.jsonl", side="test")


def test_csv_has_every_column(dataset):
    export(str(dataset), "csv", "out.csv")
    with open("out.csv", newline="", encoding="utf-8") as lines:
        found = list(csv.DictReader(lines))
    given = rows(dataset)
    assert list(found[0]) == list(COLUMNS) and len(found) == len(given)
    for cells, row in zip(found, given, strict=True):
        assert json.loads(cells["messages"]) == row["messages"]
        assert cells["factuality"] == "" and cells["simulated"] == "true" and cells["usd"] == str(row["usd"])
        assert cells["reasoning"] == row["reasoning"] and cells["trace_id"] == row["trace_id"]


KEPT = {
    "csv": (
        "example_id",
        "reasoning",
        "answer",
        "generator",
        "approach",
        "grade",
        "justification",
        "critic",
        "simulated",
    ),
    "openai": ("example_id", "reasoning", "answer"),
}


@pytest.mark.parametrize("kind", KEPT)
def test_what_goes_out_comes_back_as_the_same_traces(dataset, benchmark, kind):
    store = Store("other", create=True)
    ingest(store, benchmark)
    out = f"out.{'csv' if kind == 'csv' else 'jsonl'}"
    export(str(dataset), kind, out)
    assert import_traces(store, out).traces == len(rows(dataset))
    found = store.rows("FROM traces WHERE valid AND correct")
    assert sorted(tuple(r[c] for c in KEPT[kind]) for r in found) == sorted(
        tuple(r[c] for c in KEPT[kind]) for r in rows(dataset)
    )


FORMULAS = ["=1+1", "+1", "-omics", "@x", "\tx", "\rx", "'=x", "''-x", "'plain", "plain", "1-2"]


def with_reasonings(dataset, folder, texts):
    """A copy of a dataset whose first rows reason so."""
    copy = Path(shutil.copytree(dataset, folder))
    (file,) = copy.glob("default/train-*")
    table = pq.read_table(file)
    said = texts + table["reasoning"].to_pylist()[len(texts) :]
    i = table.column_names.index("reasoning")
    pq.write_table(table.set_column(i, table.schema.field(i), [said]), file)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"][f"default/{file.name}"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def test_no_cell_is_a_formula_and_each_comes_back_as_it_was(dataset):
    from curation.importing.records import read

    copy = with_reasonings(dataset, "copy", FORMULAS)
    export(str(copy), "csv", "out.csv")
    with open("out.csv", newline="", encoding="utf-8") as lines:
        cells = [cell for line in csv.reader(lines) for cell in line]
    assert not [c for c in cells if c.startswith(("=", "+", "-", "@", "\t", "\r"))]
    back = [r.values["reasoning"] for r in read(Path("out.csv"), "out.csv")]
    assert back[: len(FORMULAS)] == FORMULAS


def test_a_version_of_the_store_is_exported_by_its_name(dataset, run):
    # the store of the fixture stands beside its version
    store = dataset.parent / "store"
    done = run("--store", store, "export", "traces@1.0.0", "--format", "trl", "--output", "named.jsonl")
    assert done.returncode == 0, done.stderr
    export(str(dataset), "trl", "folder.jsonl")
    assert Path("named.jsonl").read_bytes() == Path("folder.jsonl").read_bytes()


def test_a_file_that_holds_something_else_is_left_alone(dataset, run):
    words = ("export", dataset, "--format", "trl", "--output", "out.jsonl")
    assert run(*words).returncode == 0
    before = Path("out.jsonl").read_bytes()
    again = run(*words)
    assert again.returncode == 0 and "holds these" in again.stdout
    other = run(*words, "--side", "validation")
    assert (other.returncode, other.stdout, other.stderr.count("\n")) == (1, "", 1)
    assert "it holds something else" in other.stderr
    assert Path("out.jsonl").read_bytes() == before
    assert [f.name for f in Path().iterdir()] == ["out.jsonl"]


WRONG = {
    "a format": ({"kind": "x", "out": "o"}, "--format x: not one of trl, openai, csv"),
    "a side": ({"kind": "csv", "out": "o", "side": "x"}, "no side 'x'"),
    "a split": ({"kind": "csv", "out": "o", "split": "x"}, "has default, rpe1_holdout, unseen_pert"),
    "a folder": ({"kind": "csv", "out": "no/such/o"}, "no/such/o: No such file or directory"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line(dataset, case):
    options, line = WRONG[case]
    with pytest.raises(BadInput) as error:
        export(str(dataset), **options)
    assert line in str(error.value) and "\n" not in str(error.value) and not list(Path().iterdir())


def test_a_full_disk_leaves_no_half_file(dataset):
    def little():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(
        [*COMMAND, "export", str(dataset), "--format", "csv", "--output", "out.csv"],
        capture_output=True, text=True, preexec_fn=little,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert "out.csv: File too large; nothing was written" in done.stderr
    assert not list(Path().iterdir())


def test_a_reader_that_goes_away_is_no_error(dataset):
    line = " ".join([*COMMAND, "export", str(dataset), "--format", "csv", "--output", "-", "--side", "test"])
    done = subprocess.run(f"{line} | head -c 10", shell=True, capture_output=True, text=True)
    assert done.stdout == "messages,e" and "Traceback" not in done.stderr


def test_memory_is_that_of_a_batch(dataset):
    """No side is held whole: the writer takes batches, however the file's row groups lie."""
    batches = list(open_dataset(str(dataset)).batches("default", "test"))
    assert len(batches) > 1 and max(b.num_rows for b in batches) <= 500
    assert sum(b.num_rows for b in batches) == len(rows(dataset, "test"))


@pytest.mark.parametrize("out", ["", ".", "/"])
def test_an_output_that_has_no_name_is_one_line(dataset, out):
    with pytest.raises(BadInput, match="no file"):
        export(str(dataset), kind="csv", out=Path(out))
