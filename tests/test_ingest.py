"""Ingest: the real benchmark comes in whole; bad input is named by place and leaves the store as it was."""

import json

import pytest

from curation.errors import BadInput
from curation.examples import ingest
from curation.schema import content_id
from curation.store import Store

DE = "pert,gene,label,split\nA,X,1,train\nA,Y,0,train\nB,X,1,test\nB,Y,0,test\n"
DIR = "pert,gene,label,split\nA,X,1,train\nB,X,0,test\n"


def files(folder, de=DE, direction=DIR, line="k562"):
    folder.mkdir(exist_ok=True)
    for kind, text in (("de", de), ("dir", direction)):
        if text is not None:
            data = text if isinstance(text, bytes) else text.encode()
            (folder / f"{line}-{kind}.csv").write_bytes(data)
    return folder


def test_small_benchmark_is_read_and_twice_is_once(tmp_path, ask_json):
    folder = files(tmp_path / "data")
    first = ask_json("ingest", folder)
    assert (first["examples"], first["new"], first["with_direction"]) == (4, 4, 2)
    assert ask_json("ingest", folder)["new"] == 0
    rows = ask_json("sql", "SELECT * EXCLUDE (run_id, created) FROM examples ORDER BY pert, gene")
    assert rows[0] == {
        "example_id": content_id("K562", "A", "X"), "cell_line": "K562", "pert": "A", "gene": "X",
        "label": "upregulated", "given_side": "train", "source": "PerturbQA",
        "licence": "Genentech Non-Commercial Software License 1.0",
    }  # fmt: skip
    assert [r["label"] for r in rows[1:]] == [
        "not differentially expressed", "downregulated", "not differentially expressed",
    ]  # fmt: skip


BAD = {
    "a -de without its -dir": (DE, None, ["k562-dir.csv", "no such file"]),
    "a -dir without its -de": (None, DIR, ["k562-de.csv", "no such file"]),
    "missing column": (DE.replace("label", "lable"), DIR, ["k562-de.csv, line 1, column label", "lable"]),
    "label outside 0 and 1": (DE.replace("Y,0,train", "Y,2,train"), DIR, ["line 3, column label", "'2'", "0 or 1"]),
    "label empty": (DE.replace("Y,0,train", "Y,,train"), DIR, ["line 3, column label", "''"]),
    "direction without a row": (DE, DIR + "C,X,1,train\n", ["k562-dir.csv, line 4", "C, X", "k562-de.csv"]),
    "direction of an unchanged pair": (DE, DIR + "A,Y,1,train\n", ["k562-dir.csv, line 4", "A, Y", "has 0"]),
    "effect without a direction": (DE, DIR.replace("B,X,0,test\n", ""), ["k562-de.csv, line 4", "B, X"]),
    "a pair twice": (DE + "A,X,1,train\n", DIR, ["k562-de.csv, line 6", "A, X", "line 2"]),
    "a direction twice": (DE, DIR + "A,X,1,train\n", ["k562-dir.csv, line 4", "line 2"]),
    "unknown split": (DE.replace("0,test", "0,valid"), DIR, ["k562-de.csv, line 5, column split", "'valid'"]),
    "sides that differ": (DE, DIR.replace("0,test", "0,train"), ["k562-dir.csv, line 3, column split"]),
    "empty file": ("", DIR, ["k562-de.csv, line 1", "empty file"]),
    "header only": (DE, "pert,gene,label,split\n", ["k562-dir.csv, line 2", "no rows"]),
    "not UTF-8": (DE.encode() + b"\xff,X,0,train\n", DIR, ["k562-de.csv, line 6", "0xff"]),
    "short line": (DE + "C,X,0\n", DIR, ["k562-de.csv, line 6", "3 values"]),
    "blank line": (DE.replace("A,Y", "\nA,Y"), DIR, ["k562-de.csv, line 3", "''"]),
    "no gene": (DE.replace("A,Y", "A,"), DIR, ["k562-de.csv, line 3, column gene"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_names_the_place_and_changes_nothing(tmp_path, case):
    de, direction, wanted = BAD[case]
    store = Store(tmp_path / "store", create=True)
    ingest(store, files(tmp_path / "good", line="jurkat"))
    before = store.rows("SELECT count(*) AS n FROM raw.examples")
    folder = files(tmp_path / "bad", de, direction)
    files(folder, line="aaa")  # a line that is read before must not be left in the store
    with pytest.raises(BadInput) as error:
        ingest(store, folder)
    assert all(w in str(error.value) for w in wanted), str(error.value)
    assert "\n" not in str(error.value)
    assert store.rows("SELECT count(*) AS n FROM raw.examples") == before


def test_a_bad_file_is_one_line_and_exit_1(tmp_path, run):
    done = run("ingest", files(tmp_path / "bad", DE.replace("Y,0,train", "Y,7,train")))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1 and "line 3, column label" in done.stderr
    assert run("ingest", tmp_path / "nowhere").returncode == 1


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
def test_names_like_missing_values_stay_text(tmp_path, ending):
    de = DE.replace("A,Y", "NA,NAN").replace("B,Y", "null,nan").replace("\n", ending)
    store = Store(tmp_path / "store", create=True)
    ingest(store, files(tmp_path / "d", "\ufeff" + de, DIR.replace("\n", ending)))
    pairs = {(r["pert"], r["gene"]) for r in store.rows("SELECT pert, gene FROM examples")}
    assert pairs == {("A", "X"), ("NA", "NAN"), ("B", "X"), ("null", "nan")}


def test_gene_sets_are_skipped_and_said_so(tmp_path, run, ask_json):
    folder = files(tmp_path / "d")
    files(folder, line="k562_set")
    done = run("ingest", folder)
    assert "skipped k562_set-de.csv" in done.stderr and "skipped k562_set-dir.csv" in done.stderr
    assert ask_json("sql", "SELECT DISTINCT cell_line FROM examples") == [{"cell_line": "K562"}]


def test_another_benchmark_or_another_label_is_refused(tmp_path, store):
    with pytest.raises(BadInput, match="holds one benchmark"):
        ingest(store, files(tmp_path / "d"))
    own = Store(tmp_path / "own", create=True)
    ingest(own, files(tmp_path / "d"))
    with pytest.raises(BadInput, match=r"K562 A, X is downregulated .* has upregulated"):
        ingest(own, files(tmp_path / "e", DE, DIR.replace("A,X,1", "A,X,0")))


def test_source_json_that_is_none(tmp_path):
    folder = files(tmp_path / "d")
    (folder / "source.json").write_text(json.dumps(["?"]))
    with pytest.raises(BadInput, match=r"source.json"):
        ingest(Store(tmp_path / "s", create=True), folder)


# rows of the DE task a line, of the direction task; and sides and labels over all lines
TABLE_5 = {
    "K562": (157_679, 19_980), "RPE1": (187_089, 26_652), "HepG2": (126_889, 17_860), "Jurkat": (142_822, 20_058),
}  # fmt: skip
TEST_LABELS = {"not differentially expressed": 99_833, "downregulated": 8_579, "upregulated": 7_629}
TRAIN_ROWS = {"K562": 134_467, "RPE1": 149_147, "HepG2": 101_140, "Jurkat": 113_684}


def test_real_perturbqa_counts(tmp_path, perturbqa):
    store = Store(tmp_path / "store", create=True)
    done = ingest(store, perturbqa)
    assert (done.examples, done.new, done.with_direction) == (614_479, 614_479, 84_550)
    lines = store.rows(
        "SELECT cell_line, count(*) AS n, count(*) FILTER (label <> 'not differentially expressed') AS d, "
        "count(*) FILTER (given_side = 'train') AS train FROM examples GROUP BY 1"
    )
    assert {r["cell_line"]: (r["n"], r["d"]) for r in lines} == TABLE_5
    assert {r["cell_line"]: r["train"] for r in lines} == TRAIN_ROWS
    test = store.rows("SELECT label, count(*) AS n FROM examples WHERE given_side = 'test' GROUP BY 1")
    assert {r["label"]: r["n"] for r in test} == TEST_LABELS
    holdout = store.rows(
        "SELECT label, count(*) AS n FROM splits JOIN examples USING (example_id) "
        "WHERE split = 'rpe1_holdout' AND side = 'test' GROUP BY 1 ORDER BY n"
    )
    assert [r["n"] for r in holdout] == [10_502, 16_150, 160_437]
    assert ingest(store, perturbqa).new == 0
