"""Import: traces made elsewhere come in as if they had been asked for, all or none, once, with their origin."""

import csv
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from kit.hub import hub

from curation.asking.requests import endpoint
from curation.asking.stage import How
from curation.errors import BadInput, StoreError
from curation.exclusions import exclude
from curation.grades import grade
from curation.importing import Given, import_traces
from curation.lineage import lineage, text
from curation.locks import lock
from curation.prompting import load
from curation.selection import Selection
from curation.store import Store
from curation.traces import generate
from curation.versions import build

PAPER = (
    "pert", "gene", "cell_type", "user_query", "true_answer", "user_prompt", "assistant_response",
    "generated_thinking", "generated_answer", "critic_evaluation", "critic_reasoning",
)  # fmt: skip
UP, DOWN, SAME = "upregulated", "downregulated", "not differentially expressed"


def examples(store, n=40, split="default", side=None):
    """Some examples, the same each time."""
    where = f"split = '{split}'" + (f" AND side = '{side}'" if side else "")
    return store.rows(f"FROM examples JOIN splits USING (example_id) WHERE {where} ORDER BY example_id LIMIT {n}")


def paper_row(example, **other):
    """A row as the paper's CSV has it, with two lines and a quoted comma in its reasoning."""
    thinking = f'Loss of {example["pert"]} touches "many, if not all"\nof the partners of {example["gene"]}.'
    row = {
        "pert": example["pert"],
        "gene": example["gene"],
        "cell_type": example["cell_line"].lower(),
        "user_query": "",
        "true_answer": example["label"],
        "user_prompt": f"Knock-down of {example['pert']} in {example['cell_line']}: {example['gene']}?",
        "assistant_response": f"<think>{thinking}</think>\n<answer>{example['label']}</answer>",
        "generated_thinking": thinking,
        "generated_answer": example["label"],
        "critic_evaluation": "excellent",
        "critic_reasoning": "Sound, and it names partners.",
    }
    return row | other


def write_csv(file, rows, columns=PAPER):
    with open(file, "w", newline="", encoding="utf-8") as out:
        lines = csv.DictWriter(out, columns)
        lines.writeheader()
        lines.writerows(rows)
    return file


@pytest.fixture
def paper(store, tmp_path):
    """A file as the paper's code writes it."""
    return write_csv(tmp_path / "synthetic.csv", [paper_row(e) for e in examples(store)])


def counts(store):
    tables = ("responses", "traces", "grades")
    return tuple(store.rows(f"SELECT count(*) AS n FROM raw.{t}")[0]["n"] for t in tables)


def test_the_papers_csv_comes_in_as_generated_traces_do(store, paper, run):
    done = run("import", paper, "--generator", "o4-mini", "--critic", "o3@v1", "--licence", "CC BY 4.0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("40 rows, 40 new traces, 40 new grades\n")
    assert "columns that nothing is read from: user_query" in done.stderr
    rows = store.rows("FROM traces ORDER BY trace_id")
    assert {(r["generator"], r["approach"], r["grade"], r["critic"]) for r in rows} == {
        ("o4-mini", "explain", "excellent", "o3@v1")
    }
    assert all(r["valid"] and r["correct"] and r["provider"] == "import" for r in rows)
    assert all(r["outcome_shown"] == r["label"] for r in rows)
    assert rows[0]["reasoning"] == paper_row(rows[0])["generated_thinking"]
    assert len({r["prompt_hash"] for r in rows}) == 1, "one prompt, whatever its genes"
    found = lineage(store, rows[0]["trace_id"])
    assert found["response"]["messages"] == [{"role": "user", "content": paper_row(rows[0])["user_prompt"]}]
    digest = hashlib.sha256(paper.read_bytes()).hexdigest()
    origin = found["response"]["origin"]
    assert origin | {"row": 0} == {"file": "synthetic.csv", "digest": digest, "row": 0, "licence": "CC BY 4.0"}
    assert f"synthetic.csv, row {origin['row']}" in text(found)
    assert found["response"]["usd"] is None
    args = json.loads(store.rows("SELECT args FROM runs WHERE command = 'import'")[0]["args"])
    assert args["path"] == "synthetic.csv" and args["licence"] == "CC BY 4.0" and "approach" not in args


def test_rows_tell_the_row_that_they_come_from(store, paper):
    import_traces(store, str(paper))
    with open(paper, newline="") as lines:
        given = list(csv.DictReader(lines))
    for r in store.rows("SELECT text, origin.row AS n FROM responses WHERE stage = 'generate'"):
        assert given[r["n"] - 1]["assistant_response"] == r["text"]


def test_the_same_rows_again_add_nothing_whatever_the_file(store, paper, tmp_path):
    first = import_traces(store, str(paper))
    before = counts(store)
    again = import_traces(store, str(paper))
    other = tmp_path / "holdout.csv"  # the paper's two files, one a split, share most of their rows
    with open(paper, newline="") as lines:
        rows = list(csv.DictReader(lines))
    new = paper_row(
        rows[0] | {"cell_line": rows[0]["cell_type"], "label": rows[0]["true_answer"]}, critic_reasoning="!"
    )
    write_csv(other, [*rows[1:], new, *rows[:5]])
    third = import_traces(store, str(other))
    assert (first.traces, again.traces, third.traces) == (40, 0, 0)
    assert (again.grades, third.grades) == (0, 1)
    assert again.left_out == [{"reason": "in the store already, or twice in the source", "n": 40}]
    assert counts(store) == (before[0] + 1, before[1], before[2] + 1)


def test_an_import_can_be_hidden_and_brought_again(store, paper):
    import_traces(store, str(paper))
    run_id = store.rows("SELECT run_id FROM runs WHERE command = 'import'")[0]["run_id"]
    exclude(store, run_id=run_id, reason="the generator's name was wrong")
    assert store.rows("FROM traces") == []
    assert import_traces(store, str(paper), given=Given(generator="o3")).traces == 40
    assert store.rows("SELECT DISTINCT generator AS g FROM traces") == [{"g": "o3"}]


SECOND = "line 6, column"  # where the second row begins: each takes four lines
BAD = {
    "another label": ({"true_answer": "?"}, [f"{SECOND} true_answer", "as the store has it"]),
    "no label": ({"true_answer": "up"}, [f"{SECOND} true_answer", "'up'", UP]),
    "unknown pair": ({"gene": "NOPE"}, [f"{SECOND} pert,gene", "NOPE", "a pair of the store's benchmark"]),
    "unknown line": ({"cell_type": "hela"}, [f"{SECOND} cell_type", "'hela'", "one of HepG2, Jurkat, K562, RPE1"]),
    "no pert": ({"pert": ""}, [f"{SECOND} pert", "nothing"]),
    "no trace": (dict.fromkeys(("assistant_response", "generated_thinking", "generated_answer"), ""), [
        f"{SECOND} assistant_response", "found nothing", "a trace"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_row_that_contradicts_the_benchmark_stops_all(store, paper, case):
    change, wanted = BAD[case]
    some = examples(store)
    if change == {"true_answer": "?"}:
        change = {"true_answer": UP if some[1]["label"] != UP else DOWN}
    write_csv(paper, [paper_row(e, **(change if i in (1, 7) else {})) for i, e in enumerate(some)])
    with pytest.raises(BadInput) as error:
        import_traces(store, str(paper))
    assert all(w in str(error.value) for w in ["synthetic.csv", *wanted]), str(error.value)
    assert "\n" not in str(error.value) and "2 bad of 40 rows" in str(error.value)
    assert counts(store) == (0, 0, 0)
    assert not list(store.journals.glob("*.staged"))
    done = import_traces(store, str(paper), skip_bad=True)
    assert done.traces == 38 and [b["row"] for b in done.bad] == [2, 8]
    assert done.left_out == [{"reason": f"bad: {done.bad[0]['reason']}", "n": 2}]


BROKEN = {
    "a missing cell": (b"a,b\n", "line 2: found 2 cells, wanted 11"),
    "an open quote": (b'a,"b\n', "found no CSV"),
    "no UTF-8": (b"A\xff,B,k562,,up,,x,,,,\n", "line 2, column pert: found bytes that are not UTF-8"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_csv_names_the_line(store, tmp_path, case):
    data, wanted = BROKEN[case]
    (tmp_path / "broken.csv").write_bytes(",".join(PAPER).encode() + b"\n" + data)
    with pytest.raises(BadInput, match=wanted):
        import_traces(store, "broken.csv")


WRONG = {
    "no such source": ("nowhere.csv", {}, "nowhere.csv: found no such file or folder"),
    "another ending": ("odd.txt", {}, "found the ending '.txt'"),
    "an empty folder": ("empty", {}, "found no .parquet, .jsonl, .ndjson, .csv file in it"),
    "no trace in it": ("odd.csv", {}, "found the columns a, b, wanted messages"),
    "no header": ("none.csv", {}, "line 1: found no header"),
    "a map that is none": ("synthetic.csv", {"mapping": ["x"]}, "wanted OURS=THEIRS"),
    "a field that is none": ("synthetic.csv", {"mapping": ["x=pert"]}, "'x' is none of cell_line, pert"),
    "a column that is none": ("synthetic.csv", {"mapping": ["pert=x"]}, "has no such column; it has pert, gene"),
    "a field twice": ("synthetic.csv", {"mapping": ["pert=gene", "pert=pert"]}, "pert is mapped to 'gene' already"),
    "a column twice": ("synthetic.csv", {"mapping": ["pert=gene", "gene=gene"]}, "gene is read as pert already"),
    "a mark taken off": ("synthetic.csv", {"mapping": ["simulated="]}, "marked as simulated stays so"),
    "an unknown split": ("synthetic.csv", {"split": "x"}, "not one of default"),
    "an approach that is none": ("synthetic.csv", {"given": Given(approach="control")}, "not one of explain, blind"),
    "no Parquet": ("bad.parquet", {}, "found no Parquet"),
    "a Hub that is not there": ("org/nothing", {}, "the Hub does not hand it out"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_source_is_one_line(case, store, paper, tmp_path):
    (tmp_path / "odd.txt").write_text("x")
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    (tmp_path / "none.csv").write_text("")
    (tmp_path / "bad.parquet").write_text("PAR0")
    (tmp_path / "empty").mkdir()
    source, options, line = WRONG[case]
    with pytest.raises(BadInput) as error:
        import_traces(store, source, **options)
    assert line in str(error.value) and "\n" not in str(error.value)
    assert counts(store) == (0, 0, 0)


def test_a_bad_row_is_one_line_and_exit_1_or_a_list(store, paper, run, ask_json):
    write_csv(paper, [paper_row(e, **({"gene": "NOPE"} if i == 1 else {})) for i, e in enumerate(examples(store))])
    done = run("import", paper)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert "synthetic.csv, line 6, column pert,gene: found " in done.stderr and "--skip-bad" in done.stderr
    told = ask_json("import", paper, "--skip-bad")
    assert told["traces"] == 39 and [(b["row"], b["line"]) for b in told["bad"]] == [(2, 6)]


def chats(store, n=20):
    standard = load("standard")
    for e in examples(store, n):
        asked = standard.messages(**{k: e[k] for k in ("pert", "gene", "cell_line")})
        answer = f"<think>\n{e['gene']} depends on {e['pert']}.\n</think>\n<answer>{e['label']}</answer>"
        yield e, [*asked, {"role": "assistant", "content": answer}]


def test_chats_are_placed_by_columns_by_a_mapping_or_by_the_words_of_the_query(store, tmp_path):
    kinds = [
        lambda e, chat: {"messages": chat},
        lambda e, chat: {"messages": chat[1:], **{k: e[k] for k in ("pert", "gene", "cell_line")}},
        lambda e, chat: {"talk": chat[2:], "p": e["pert"], "g": e["gene"], "c": e["cell_line"]},
    ]
    for i, kind in enumerate(kinds):
        lines = [json.dumps(kind(e, chat)) for e, chat in chats(store)]
        (tmp_path / f"{i}.jsonl").write_text("\n".join([*lines, "", ""]))
    mapping = ["messages=talk", "pert=p", "gene=g", "cell_line=c"]
    assert import_traces(store, "0.jsonl").traces == 20
    standard = load("standard")
    assert store.rows("SELECT DISTINCT generator, prompt_hash, answer = label AS ok FROM traces") == [
        {"generator": "unknown", "prompt_hash": store.rows("SELECT prompt_hash AS h FROM traces LIMIT 1")[0]["h"],
         "ok": True}
    ]  # fmt: skip
    assert store.rows("SELECT messages FROM responses LIMIT 1")[0]["messages"][0]["content"] == standard.system
    for i, more in ((1, []), (2, mapping)):
        again = import_traces(store, f"{i}.jsonl", mapping=more)
        assert (again.traces, again.left_out[0]["n"]) == (0, 20), "the same traces by another file"


def test_odd_lines_of_json_are_told_by_their_line(store, tmp_path):
    good = [json.dumps({"messages": chat}) for _, chat in chats(store, 2)]
    odd = ["{", "[1]", '{"messages": "x"}', '{"messages": [{"role": "user", "content": "Hello?"}]}']
    (tmp_path / "odd.jsonl").write_text("\n".join([good[0], *odd, good[1]]))
    done = import_traces(store, "odd.jsonl", skip_bad=True)
    assert done.traces == 2
    assert [(b["line"], b["reason"]) for b in done.bad] == [
        (2, "no JSON"),
        (3, "no JSON"),
        (4, "no chat"),
        (5, "no pair"),
    ]


def test_columns_of_parquet_as_pandas_writes_them(store, tmp_path):
    def row(e, **other):
        base = {c: e[c] for c in ("cell_line", "pert", "gene")} | {"reasoning": f"{e['gene']} it is.", "label": 1}
        return base | {"answer": e["label"], "tokens_out": 7.0, "usd": float("nan"), "simulated": False} | other

    some = examples(store, 6)
    odd = [{"tokens_out": 0.5}, {"tokens_out": 1e30}, {"simulated": None}, {"pert": "NOPE"}, {"reasoning": None}]
    rows = [row(some[0]), *(row(e, **other) for e, other in zip(some[1:], odd, strict=True))]
    pq.write_table(pa.Table.from_pylist(rows), "made.parquet")
    with pytest.raises(BadInput, match=r"made.parquet, row 1, column label: found 1, wanted text"):
        import_traces(store, "made.parquet")
    done = import_traces(store, "made.parquet", mapping=["label="], skip_bad=True)
    assert [(b["row"], b["reason"]) for b in done.bad] == [(2, "no number"), (3, "no number"), (5, "unknown pair")]
    found = store.rows(
        "SELECT tokens_out, usd, reason FROM responses JOIN traces USING (response_id) ORDER BY origin.row"
    )
    assert [tuple(r.values()) for r in found] == [(7, None, None), (7, None, None), (7, None, None)]
    assert "label" in done.unread


@pytest.mark.parametrize(
    "value", [{"usd": -5}, {"tokens_in": -3}, {"tokens_in": True}, {"tokens_out": "-1"}, {"usd": "1e400"}, {"usd": "x"}]
)
def test_what_is_no_count_is_a_bad_row(store, value):
    line = {k: e[k] for e in examples(store, 1) for k in ("pert", "gene", "cell_line")}
    Path("odd.jsonl").write_text(json.dumps(line | {"reasoning": "It rises.", "answer": UP} | value))
    (column,) = value
    with pytest.raises(BadInput, match=rf"odd.jsonl, line 1, column {column}: found .*, wanted a number, 0 or more"):
        import_traces(store, "odd.jsonl")


def test_a_name_of_blanks_is_none(store, tmp_path):
    rows = [paper_row(e, generator="  ", critic="\t", generator_prompt=" ") for e in examples(store, 4)]
    write_csv(tmp_path / "blank.csv", rows, (*PAPER, "generator", "critic", "generator_prompt"))
    import_traces(store, "blank.csv")
    assert store.rows("SELECT DISTINCT generator, critic, trim(prompt_hash) = '' AS blank FROM traces") == [
        {"generator": "unknown", "critic": "unknown@unknown", "blank": False}
    ]


def test_a_dataset_comes_in_from_its_folder_and_from_the_hub(dataset, benchmark, tmp_path, run, ask_json):
    for name in ("local", "fetched"):
        assert run("--store", name, "ingest", benchmark).returncode == 0
    done = ask_json("--store", "local", "import", dataset)
    with hub(tmp_path / "home") as one:
        commit = one.put("org/traces", dataset, "v1.0.0")
        fetched = ask_json("--store", "fetched", "import", "org/traces@v1.0.0", env={**os.environ, **one.env()})
    learned = pa.concat_tables(pq.read_table(f) for f in sorted(dataset.glob("default/[tv][ra][al]*"))).to_pylist()
    assert done["traces"] == fetched["traces"] == len(learned) > 50
    assert {s["side"] for s in done["sides"]} == {"train"}
    assert {r["reason"] for r in done["left_out"]} == {"no answer: the row ends with the question"}
    columns = ("example_id", "reasoning", "answer", "approach", "generator", "critic", "grade", "justification")
    wanted = sorted(tuple(r[c] for c in columns) for r in learned)
    for name in ("local", "fetched"):
        store = Store(name)
        rows = store.rows("FROM traces WHERE valid AND correct AND simulated AND provider = 'rehearsal'")
        assert sorted(tuple(r[c] for c in columns) for r in rows) == wanted
        origin = store.rows("SELECT DISTINCT origin.digest AS digest, origin.file AS file FROM responses")
        if name == "fetched":
            assert {r["digest"] for r in origin} == {commit}
            assert all(r["file"].startswith("org/traces/default/") for r in origin)
        assert store.rows("SELECT sum(usd) AS usd, sum(tokens_out) AS n FROM responses WHERE stage = 'generate'")[0][
            "n"
        ] == sum(r["tokens_out"] for r in learned)


def test_a_store_is_not_given_its_own_traces_again(filled, tmp_path, dataset):
    store = Store(shutil.copytree(filled, tmp_path / "copy"))
    before = counts(store)
    rows = store.rows("FROM traces WHERE valid AND approach = 'explain' AND grade IS NOT NULL LIMIT 50")
    kept = ("cell_line", "pert", "gene", "reasoning", "answer", "grade", "justification", "critic", "simulated")
    pq.write_table(pa.Table.from_pylist([{k: r[k] for k in kept} for r in rows]), "own.parquet")
    done = import_traces(store, "own.parquet")
    assert (done.traces, done.grades) == (0, 0) and counts(store) == before


def test_what_a_rehearsal_said_stays_marked_by_way_of_a_file_that_cannot_say_so(store, paper, tmp_path):
    """A rehearsal is hidden, and its words come in anew, for its own example and for another."""
    some = examples(store, 3)
    marked = [paper_row(e) | {"simulated": "true"} for e in some[:1]]
    write_csv(tmp_path / "marked.csv", marked, (*PAPER, "simulated"))
    import_traces(store, "marked.csv")
    exclude(store, run_id=store.rows("SELECT run_id FROM raw.traces")[0]["run_id"], reason="rehearsed")
    said = marked[0]["assistant_response"]
    again = f"<think>{marked[0]['generated_thinking']}</think><answer>{some[1]['label']}</answer>"
    write_csv(paper, [paper_row(e, assistant_response=t) for e, t in zip(some, [said, again], strict=False)])
    with open(paper, "a", newline="") as more:
        csv.DictWriter(more, PAPER).writerow(paper_row(some[2]))
    assert import_traces(store, str(paper)).traces == 3
    found = store.rows("SELECT provider, count(*) AS n FROM traces GROUP BY ALL")
    assert {r["provider"]: r["n"] for r in found} == {"rehearsal": 2, "import": 1}


def on_side(folder, side):
    return {i for file in folder.glob(f"{side}-*") for i in pq.read_table(file)["example_id"].to_pylist()}


def test_traces_of_test_rows_are_counted_and_reach_no_train_side(store, tmp_path, run):
    train, test = examples(store, 60, side="train"), examples(store, 30, side="test")
    write_csv(tmp_path / "both.csv", [paper_row(e) for e in [*train, *test]])
    done = run("import", "both.csv")
    assert "30 of them are of the test side of default" in done.stderr
    assert store.rows("SELECT count(*) AS n FROM traces") == [{"n": 90}]
    held = {e["example_id"] for e in test}
    chosen = store.rows("SELECT example_id FROM candidates WHERE split = 'default'")
    assert len(chosen) == 60 and not held & {r["example_id"] for r in chosen}
    build(store, "excellent", "traces", out=tmp_path / "traces-1.0.0")
    for split in ("default", "rpe1_holdout", "unseen_pert"):
        sides = {side: on_side(Path("traces-1.0.0", split), side) for side in ("train", "validation", "test")}
        assert sides["train"] and not (sides["train"] | sides["validation"]) & sides["test"]


def test_what_was_not_paid_here_is_not_in_the_spend(store, paper, model):
    generate(store, Selection(limit=5), endpoint("o4-mini"), how=How(quiet=True))
    before = store.rows("FROM spend")
    import_traces(store, str(paper), given=Given(generator="o4-mini"))
    assert store.rows("FROM spend") == before


def test_the_card_tells_what_was_imported_and_no_cost_of_it(store, paper):
    import_traces(store, str(paper), given=Given(generator="o3", licence="CC BY 4.0"))
    card = Path(build(store, "excellent", "traces", out=Path("v")).out, "README.md").read_text()
    digest = hashlib.sha256(paper.read_bytes()).hexdigest()
    assert f"of the traces were imported from `synthetic.csv` ({digest}), under CC BY 4.0" in card
    assert "What it cost" not in card and "synthpert import synthetic.csv --generator o3" in card


EVIL = 'evil\n\n# Reviewed by NIH\n\n> licence: CC0 <b>x</b> ![x](http://e.example/x.png): {"a\n---\n- z | y'


def test_what_a_file_says_cannot_write_into_the_card(store, tmp_path):
    columns = ("generator", "critic", "generator_prompt")
    rows = [paper_row(e, **dict.fromkeys(columns, EVIL)) for e in examples(store)]
    write_csv(tmp_path / "synthetic.csv", rows, (*PAPER, *columns))
    import_traces(store, "synthetic.csv", given=Given(licence=EVIL))
    folder = Path(build(store, "excellent", "traces", out=Path("v")).out)
    card = folder.joinpath("README.md").read_text()
    prose = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", card, flags=re.M | re.S)
    said = 'evil # Reviewed by NIH > licence: CC0 &lt;b>x&lt;/b> ![x]\\(http://e.example/x.png): {"a --- - z \\| y'
    assert f"- Generator: {said}; " in prose and f"- Critic: {said}@unknown " in prose and f"under {said}: how" in prose
    assert not re.search(r"^(#+ Reviewed|> licence|---\n- z)|<b>|\]\(http://e", prose, re.M)
    header = yaml.safe_load(card.split("---\n")[1])
    assert header["pretty_name"] and json.loads((folder / "croissant.json").read_text())["@type"] == "sc:Dataset"


def test_imported_traces_can_be_graded_here(store, paper, model):
    bare = [{k: v for k, v in row.items() if not k.startswith("critic")} for row in map(paper_row, examples(store))]
    write_csv(paper, bare, PAPER[:-2])
    assert import_traces(store, str(paper)).grades == 0
    done = grade(store, Selection(), endpoint("m"), how=How(quiet=True))
    assert done.answered == store.rows("SELECT count(*) AS n FROM candidates WHERE split = 'default'")[0]["n"] > 0


def test_readings_that_fail_are_told_and_kept(store, tmp_path):
    some = examples(store, 6)
    wrong = [e for e in some if e["label"] != UP][0]
    rows = [
        paper_row(some[0], assistant_response="<think>Because.</think><answer>up or down</answer>"),
        paper_row(
            wrong, assistant_response=f"<think>Because.</think><answer>{UP}</answer>", critic_evaluation="[Good]"
        ),
        paper_row(some[2], critic_evaluation="very good"),
    ]
    write_csv(tmp_path / "odd.csv", rows)
    done = import_traces(store, "odd.csv")
    assert {r["reading"]: r["valid"] for r in done.read} == {
        "several_labels": False, "wrong answer": True, "right answer": True,
    }  # fmt: skip
    found = store.rows("SELECT grade, grades[1].reason AS reason FROM traces")
    assert {(r["grade"], r["reason"]) for r in found} == {
        ("excellent", None),
        ("good", None),
        (None, "qualified_grade"),
    }


DIES = """
import os, signal, sys
import curation.importing as importing
from curation.asking.journal import Journal
from curation.store import Store

def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)

def on_call(n, then):
    calls = []
    def counted(*args):
        calls.append(args)
        return die() if len(calls) == n else then(*args)
    return counted

if sys.argv[1] == "staging":
    Journal.write = on_call(30, Journal.write)
elif sys.argv[1] == "published":
    Journal.absorb = die
else:  # absorbed, and not read
    importing.read_traces = on_call(2, importing.read_traces)
importing.import_traces(Store("store"), "synthetic.csv")
"""


@pytest.mark.parametrize("point", ["staging", "published", "absorbed"])
def test_killed_at_any_point_the_same_command_ends_right(store, paper, point, run):
    killed = subprocess.run([sys.executable, "-c", DIES, point], capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    left = list(store.journals.glob("*.staged" if point == "staging" else "*.jsonl"))
    assert len(left) == (point != "absorbed")
    assert run("import", "synthetic.csv").returncode == 0
    assert counts(store) == (80, 40, 40)
    assert store.rows("SELECT count(*) AS n FROM traces WHERE grade = 'excellent'") == [{"n": 40}]
    assert not list(store.journals.glob("*.staged")) and not list(store.journals.glob("*.jsonl"))


def test_one_import_at_a_time(store, paper):
    with lock(store.journals / "import.lock"), pytest.raises(StoreError, match="another import is running"):
        import_traces(store, str(paper))


def test_an_empty_store_asks_for_the_benchmark(tmp_path):
    with pytest.raises(BadInput, match="no examples yet"):
        import_traces(Store(tmp_path / "new", create=True), "x.csv")


def test_every_command_of_the_page_runs(store, paper, tmp_path, run):
    page = (Path(__file__).parent.parent / "docs" / "exchanging.md").read_text()
    for name in ("default.csv", "rpe1_holdout.csv"):
        shutil.copy(paper, name)
    Path("chats.jsonl").write_text("\n".join(json.dumps({"messages": chat}) for _, chat in chats(store)))
    other = {"perturbed": "pert", "gene": "gene", "line": "cell_line"}
    rows = [{**{k: e[v] for k, v in other.items()}, "output": chat[-1]["content"]} for e, chat in chats(store)]
    Path("other.jsonl").write_text("\n".join(map(json.dumps, rows)))
    lines = re.findall(r"^synthpert [^\n]*", page, re.M)
    assert len(lines) == 11
    for line in lines:
        if line.endswith("chats.jsonl"):
            assert run("build", "excellent", "--name", "perturb-traces").returncode == 0
        done = run(*shlex.split(line)[1:])
        assert done.returncode == 0, f"{line}\n{done.stderr}"


def test_real_pairs_in_the_papers_form(tmp_path, perturbqa):
    from curation.examples import ingest

    store = Store(tmp_path / "real", create=True)
    ingest(store, perturbqa)
    some = store.rows("FROM examples USING SAMPLE reservoir(1000 ROWS) REPEATABLE (1)")
    write_csv(tmp_path / "real.csv", [paper_row(e) for e in some])
    done = import_traces(store, "real.csv")
    assert (done.traces, done.grades, done.bad) == (1000, 1000, [])
    assert sum(s["n"] for s in done.sides if s["side"] == "test") == sum(e["given_side"] == "test" for e in some) > 100
