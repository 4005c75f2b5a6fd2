"""Factuality: which verdicts count, what is held of a clause, what is counted beside, and how sure the shares are."""

import json
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kit.experts import a_round, add, clauses_of, judge, verdict

from annotation.factuality import factuality
from annotation.report import report, text
from curation.errors import BadInput, VersionError
from curation.intervals import wilson
from curation.rebuild import rebuild
from curation.rehearsal.world import the_world
from curation.reviews import measure
from curation.schema import TABLES, now
from curation.store import Store
from curation.versions import build

# Made-up texts with the claims of the three traces that Appendix B prints: as many sentences and the same
# marks in the same order. The third sentence of the first makes two claims, and is marked twice; four have no mark.
APPENDIX_B = {
    "t1": (
        "QXA1 makes a chaperone. Its loss does not touch the outer membrane. QXB2 is encoded in the nucleus, and its "
        "promoter is bound by QXA1 in every cell. The membrane imports QXB2 after translation. Screens show no change.",
        ["TRUE", "FALSE", "TRUE", "FALSE", "TRUE", None],
    ),
    "t2": (
        "QXC3 binds the cap. Ribosomes need many proteins. Without QXC3 fewer transcripts leave the nucleus. QXD4 is a "
        "ribosomal protein. Its transcript is spliced. Fewer copies are made of it. Thus QXD4 falls.",
        ["TRUE"] * 6 + [None],
    ),
    "t3": (
        "QXE5 builds complex IV. Its loss lowers respiration. Low energy holds back growth. Growth drives ribosomes. "
        "Stress in mitochondria opens the membrane. Together these lower QXF6.",
        ["TRUE", "TRUE", "TRUE", None, "FALSE", None],
    ),
}
EXAMPLE = {
    "example_id": "e1", "cell_line": "RPE1", "pert": "QXA1", "gene": "QXB2", "label": "upregulated",
    "given_side": "train", "source": "made up", "licence": "none",
}  # fmt: skip


def a_trace(store, trace_id, reasoning):
    row = {"trace_id": trace_id, "request_id": trace_id, "example_id": "e1", "approach": "explain", "think": "ok",
           "generator": "m", "provider": "p", "reasoning": reasoning, "answer": "upregulated"}  # fmt: skip
    full = dict.fromkeys(TABLES["traces"].schema.names) | row | {"created": now(), "run_id": "r"}
    store.append("traces", pa.Table.from_pylist([full], TABLES["traces"].schema))


@pytest.fixture
def few(tmp_path):
    """A store of the three texts, cut into clauses."""
    store = Store(tmp_path / "few", create=True)
    row = dict.fromkeys(TABLES["examples"].schema.names) | EXAMPLE | {"created": now()}
    store.append("examples", pa.Table.from_pylist([row], TABLES["examples"].schema))
    for trace_id, (reasoning, _) in APPENDIX_B.items():
        a_trace(store, trace_id, reasoning)
    return store


def ids(store, trace_id):
    return [c["clause_id"] for c in clauses_of(store, [trace_id])]


def seen(store):
    return {r["trace_id"]: r for r in store.rows("FROM factuality")}


def held(store, clause_id):
    return store.rows(f"SELECT verdict, raters, tie, adjudicated, level FROM settled WHERE clause_id = '{clause_id}'")[
        0
    ]


def test_appendix_b(few):
    for trace_id, (_, marks) in APPENDIX_B.items():
        own = ids(few, trace_id)
        assert len(own) == len(marks)
        add(few, "verdicts", [verdict(c, "ada", m) for c, m in zip(own, marks, strict=True) if m])
    found = seen(few)
    columns = ("factuality", "clauses_rated", "clauses_false", "clauses_unrated")
    assert {t: tuple(r[c] for c in columns) for t, r in found.items()} == {
        "t1": (3 / 5, 5, 2, 1), "t2": (6 / 6, 6, 0, 1), "t3": (3 / 4, 4, 1, 2),
    }  # fmt: skip
    whole = factuality(few)[0]
    assert whole["macro"] == pytest.approx((3 / 5 + 1 + 3 / 4) / 3) and whole["micro"] == pytest.approx(12 / 15)
    assert whole["macro_low"] is None and "fewer than 4 traces" in whole["macro_why"]
    assert (whole["traces"], whole["clauses"], whole["unrated"]) == (3, 19, 4)
    kept = few.rows("SELECT trace_id, factuality, clauses_rated, clauses_false FROM traces ORDER BY 1")
    assert [(r["clauses_rated"], r["clauses_false"]) for r in kept] == [(5, 2), (6, 0), (4, 1)]


# -- which verdicts count

A, B, C = "ada", "ben", "cyd"
T, F, U = "TRUE", "FALSE", "UNVERIFIABLE"
VOTES = {
    "one": ([(A, T)], (T, 1, False)),
    "majority": ([(A, T), (B, F), (C, T)], (T, 3, False)),
    "tie": ([(A, T), (B, F)], (None, 2, True)),
    "three ways": ([(A, T), (B, F), (C, U)], (None, 3, True)),
    "most cannot tell": ([(A, U), (B, U), (C, F)], (U, 3, False)),
    "a change of mind": ([(A, T), (A, F)], (F, 1, False)),
    "a change of mind that breaks a tie": ([(A, T), (B, F), (B, T)], (T, 2, False)),
}


@pytest.mark.parametrize(("votes", "wanted"), VOTES.values(), ids=VOTES)
def test_what_is_held_of_a_clause(votes, wanted, few):
    first = ids(few, "t1")[0]
    add(few, "verdicts", [verdict(first, who, said, n) for n, (who, said) in enumerate(votes)])
    found = held(few, first)
    assert (found["verdict"], found["raters"], found["tie"]) == wanted and not found["adjudicated"]


def test_drafts_and_discards_do_not_count(few):
    one, two, three, four, *_ = ids(few, "t1")
    add(few, "verdicts", [
        verdict(one, A, T, 0), verdict(one, A, F, 1, status="draft"),  # taken back: a draft in the place of a verdict
        verdict(two, A, F, 0, status="discarded"), verdict(three, A, None, 0, status="discarded"),
        verdict(four, A, F, 0, status="draft"), verdict(four, A, T, 1),
    ])  # fmt: skip
    assert [held(few, c)["raters"] for c in (one, two, three, four)] == [0, 0, 0, 1]
    assert seen(few)["t1"]["factuality"] == 1.0 and seen(few)["t1"]["clauses_unrated"] == 5


def test_a_trace_whose_verdicts_were_all_taken_back_is_not_looked_at(few):
    one = ids(few, "t1")[0]
    add(few, "verdicts", [verdict(one, A, T, 0), verdict(one, A, T, 1, status="discarded")])
    assert seen(few) == {}
    with pytest.raises(BadInput, match="annotate push"):
        report(few)


def test_the_last_word_settles(few):
    one, two, three, *_ = ids(few, "t1")
    a_round(few, "r1", last_word="cyd")
    a_round(few, "r2", last_word=None)
    add(few, "verdicts", [
        verdict(one, A, T), verdict(one, B, T), verdict(one, C, F),
        verdict(two, A, T), verdict(two, B, T), verdict(two, C, F, status="draft"),
        verdict(three, A, T, name="r2"), verdict(three, B, T, name="r2"), verdict(three, C, F, name="r2"),
    ])  # fmt: skip
    assert [(held(few, c)["verdict"], held(few, c)["adjudicated"]) for c in (one, two, three)] == [
        (F, True), (T, False), (T, False),
    ]  # fmt: skip


def test_the_last_word_may_be_named_by_its_id_and_breaks_a_tie(few):
    one = ids(few, "t1")[0]
    a_round(few, "r1", last_word="id-cyd")
    add(few, "verdicts", [verdict(one, A, T), verdict(one, B, T), verdict(one, C, U)])
    assert held(few, one) == {"verdict": U, "raters": 3, "tie": False, "adjudicated": True, "level": None}


def test_an_annotator_counts_once_over_all_rounds(few):
    one = ids(few, "t1")[0]
    add(few, "verdicts", [verdict(one, A, T, 0, name="r1"), verdict(one, A, F, 5, name="r2"), verdict(one, B, F, 1)])
    assert held(few, one)["raters"] == 2 and held(few, one)["verdict"] == F
    rows = factuality(few, "round")
    assert [(r["group"], r["false"]) for r in rows] == [("r1", 1), ("r2", 1), (None, 0)]


def test_verdicts_that_were_pulled_twice_count_once(few):
    one = ids(few, "t1")[0]
    for _ in range(2):
        add(few, "verdicts", [verdict(one, A, T), verdict(one, B, F)])
    assert held(few, one)["raters"] == 2


def test_the_level_is_what_most_say(few):
    one, two, *_ = ids(few, "t1")
    said = [(A, "gene"), (B, "gene"), (C, "pathway")]
    add(few, "verdicts", [verdict(one, who, T, level=level) for who, level in said])
    add(few, "verdicts", [verdict(two, A, T, level="gene"), verdict(two, B, T, level="pathway")])
    assert held(few, one)["level"] == "gene" and held(few, two)["level"] is None


# -- which clauses count


def planted(few, trace_id, words, **more):
    """A clause that is not of the trace's own text, laid among its clauses."""
    row = {"clause_id": f"planted {words}", "subject": "trace", "subject_id": trace_id, "n": 2, "start_char": 24,
           "end_char": 24 + len(words), "text": words, "segmenter": "none", **more}  # fmt: skip
    full = dict.fromkeys(TABLES["clauses"].schema.names) | {"created": now(), "run_id": "x"} | row
    few.append("clauses", pa.Table.from_pylist([full], TABLES["clauses"].schema))
    return full["clause_id"]


@pytest.mark.parametrize("with_the_cut", [True, False])
def test_a_planted_clause_does_not_count(with_the_cut, few):
    own = clauses_of(few, ["t1"])
    beside = {k: own[0][k] for k in ("created", "run_id")} if with_the_cut else {}
    false = planted(few, "t1", "QXA1 is a planted falsehood.", **beside)
    add(few, "placed", [{"round": "r1", "clause_id": false, "place": 2, "everybody": True, "truth": F}])
    add(few, "verdicts", [verdict(own[0]["clause_id"], A, T), verdict(false, A, F), verdict(false, B, T)])
    found = seen(few)["t1"]
    assert (found["factuality"], found["clauses_rated"], found["clauses_false"], found["clauses_unrated"]) == (
        1,
        1,
        0,
        5,
    )
    known = {r["annotator"]: r for r in report(few)["known"]}
    assert known["ada"]["accuracy"] == 1 and (known["ben"]["accuracy"], known["ben"]["passed_false"]) == (0, 1)


def test_a_text_read_anew_keeps_the_verdicts_of_what_still_stands(few):
    one, two, *_ = ids(few, "t1")
    add(few, "verdicts", [verdict(one, A, F), verdict(two, A, T)])
    reasoning = APPENDIX_B["t1"][0]
    a_trace(few, "t1", reasoning.replace("Its loss does not touch", "Its loss never touches"))
    assert (seen(few)["t1"]["clauses_rated"], seen(few)["t1"]["clauses_false"]) == (1, 1), "not cut since"
    new = ids(few, "t1")
    assert new[0] == one and new[1] != two
    assert (seen(few)["t1"]["clauses_rated"], seen(few)["t1"]["clauses_unrated"]) == (1, len(new) - 1)
    a_trace(few, "t1", reasoning)
    assert seen(few)["t1"]["clauses_rated"] == 2, "the old text has its old clauses"


def test_clauses_of_predictions_are_not_the_traces(few):
    row = planted(few, "t1", "QXA1", subject="prediction", start_char=0, end_char=4)
    add(few, "verdicts", [verdict(row, A, F)])
    assert seen(few) == {}


def test_a_store_without_verdicts_asks_for_no_texts(few):
    assert few.rows("FROM settled") == few.rows("FROM ratings") == []


# -- how sure


def made(rng, traces, share=0.75):
    for t in range(traces):
        true = rng.betavariate(6 * share, 6 * (1 - share))
        for _ in range(rng.randrange(3, 10)):
            yield {"trace_id": t, "verdict": T if rng.random() < true else F, "tie": False}


@pytest.mark.parametrize(("traces", "least"), [(5, 0.84), (10, 0.88), (40, 0.9)])
def test_the_interval_covers_the_planted_factuality_about_as_often_as_it_says(traces, least):
    rng = random.Random(2)
    found = [measure(made(rng, traces)) for _ in range(200)]
    for name in ("macro", "micro"):
        sure = [getattr(f, name) for f in found if getattr(f, name).low is not None]
        assert len(sure) > 190 and sum(m.low <= 0.75 <= m.high for m in sure) / len(sure) >= least


@pytest.mark.parametrize("traces", [1, 2, 3])
def test_of_few_traces_no_interval_is_estimated(traces):
    found = measure(made(random.Random(1), traces))
    assert found.macro.value is not None and found.macro.low is None and "fewer than 4 traces" in found.macro.why


def test_what_cannot_be_estimated_says_why():
    alike = measure([{"trace_id": t, "verdict": T, "tie": False} for t in range(9)])
    assert alike.macro.value == 1 and alike.macro.low is None and "say the same" in alike.macro.why
    none = measure([{"trace_id": 1, "verdict": U, "tie": False}, {"trace_id": 1, "verdict": None, "tie": True}])
    assert none.macro.value is None and (none.unverifiable, none.tied, none.unrated) == (1, 1, 0)
    assert measure([]).macro.value is None


def test_ten_of_ten_is_not_certain():
    assert wilson(10, 10).value == 1 and 0.7 < wilson(10, 10).low < 0.73 and wilson(0, 0).value is None


# -- scripted experts on the planted world


@pytest.fixture
def own(reviewed, tmp_path):
    shutil.copytree(reviewed, tmp_path / "store")
    return Store(tmp_path / "store")


def shares_true(traces):
    """The share of true ones among the clauses of each trace, as planted; None where none is true or false."""
    said = {t["trace_id"]: [true for _, true in the_world().clauses(t["reasoning"])] for t in traces}
    known = {trace_id: [true for true in planted if true is not None] for trace_id, planted in said.items()}
    return {trace_id: sum(true) / len(true) if true else None for trace_id, true in known.items()}


def test_experts_who_never_err_find_just_what_is_planted(filled, tmp_path):
    shutil.copytree(filled, tmp_path / "store")
    store = Store(tmp_path / "store")
    every = store.rows("SELECT trace_id, reasoning FROM traces WHERE valid AND approach = 'explain' ORDER BY trace_id")
    some = every[-40:]
    judge(store, {"ada": (1.0, 0.0), "ben": (1.0, 0.0)}, [r["trace_id"] for r in some])
    found = seen(store)
    assert {trace_id: row["factuality"] for trace_id, row in found.items()} == shares_true(some) and len(found) == 40
    population = [share for share in shares_true(every[:300]).values() if share is not None]
    whole = report(store)
    row = whole["factuality"][0]
    assert row["macro_low"] <= sum(population) / len(population) <= row["macro_high"]
    assert whole["alpha"] == 1 and whole["alpha_low"] is None and "say the same" in whole["alpha_why"]


def test_annotators_are_measured_as_planted_on_clauses_of_known_truth(own):
    some = [r["trace_id"] for r in own.rows("SELECT trace_id FROM factuality")]
    known = [(c["clause_id"], the_world().clauses(c["text"])[0][1]) for c in clauses_of(own, some)]
    placed = [
        {"round": "r1", "clause_id": i, "place": n, "everybody": True, "truth": str(true).upper()}
        for n, (i, true) in enumerate(known)
        if true is not None
    ]
    add(own, "placed", placed)
    found = {r["annotator"]: r for r in report(own)["known"]}
    # bias: what would be FALSE is let pass; of the false ones accuracy * bias, of the true ones some errors are undone
    assert found["ada"]["accuracy_low"] <= 0.95 <= found["ada"]["accuracy_high"] and found["ada"]["n"] > 300
    assert found["ada"]["accuracy"] > found["ben"]["accuracy"] > found["cyd"]["accuracy"]
    assert found["cyd"]["passed_false"] / found["cyd"]["n"] > found["ada"]["passed_false"] / found["ada"]["n"]
    assert all(
        r["n"] == r["correct"] + r["passed_false"] + r["failed_true"] + r["unverifiable"] for r in found.values()
    )


COLUMNS = [
    "grade",
    "label",
    "correct",
    "cell_line",
    "level",
    "generator",
    "approach",
    "round",
    "simulated",
    "answer_leak",
]


@pytest.fixture(scope="module")
def whole(reviewed):
    return factuality(Store(reviewed))[0]


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_parts_the_whole(column, reviewed, whole):
    rows = factuality(Store(reviewed), column)
    for count in ("clauses", "true", "false", "unverifiable", "tied", "unrated"):
        if column != "round":
            assert sum(r[count] for r in rows) == whole[count]
    assert sum(r["true"] for r in rows) == whole["true"] > 0


def test_only_the_rows_of_a_version(own, tmp_path):
    build(own, "excellent", "d", out=tmp_path / "d")
    build(own, "thirds", "d", out=tmp_path / "e")
    only = factuality(own, version="d@1.0.0")[0]
    asked = own.rows(
        "SELECT count(*) AS n FROM traces JOIN factuality USING (trace_id) WHERE grade = 'excellent' AND correct"
    )
    assert only["looked_at"] <= asked[0]["n"] and only["macro"] > factuality(own)[0]["macro"]
    rows = {r["group"]: r for r in factuality(own, "version")}
    assert rows["d@1.0.0"]["true"] == only["true"] and {"d@1.1.0", None} <= rows.keys()
    with pytest.raises(VersionError, match="no such version"):
        factuality(own, version="d@9.9.9")


@pytest.mark.parametrize("column", ["nothing", "reasoning", "grades", "trace_id", "created"])
def test_a_column_that_is_none_is_told(column, own):
    with pytest.raises(BadInput, match=f"--by {column}: not one of level, round, version, "):
        factuality(own, column)


# -- the report


def test_the_command(own, run, ask_json):
    done = run("annotate", "report")
    assert done.returncode == 0 and "mean over" in done.stdout and "kappa" in done.stdout and "cyd" in done.stdout
    told = ask_json("annotate", "report", "--by", "cell_line", "--by", "grade", "--out", "page.html")
    assert list(told["by"]) == ["cell_line", "grade"] and told["out"] == "page.html"
    assert told["factuality"] == json.loads(json.dumps(factuality(own)))
    page = Path("page.html").read_text()
    assert "Simulated" in page and "<script" not in page and "http" not in page.replace("http-equiv", "")
    assert "Krippendorff" in page and "By cell_line" in page
    assert run("annotate", "report", "--by", "nothing").returncode == 1


@pytest.mark.parametrize(("rounds", "told"), [(0, "synthpert annotate push"), (1, "synthpert annotate pull")])
def test_an_empty_store_says_what_to_do_first(rounds, told, store, run):
    for _ in range(rounds):
        a_round(store)
    done = run("annotate", "report", "--out", "page.html")
    assert (
        done.returncode == 1 and done.stderr.count("\n") == 1 and told in done.stderr and not Path("page.html").exists()
    )


def test_what_experts_typed_is_text_and_nothing_else(few):
    evil = "<script>alert(1)</script>"
    rows = [verdict(c, evil, T, level=evil, note=evil, name=evil) for c in ids(few, "t1")]
    add(few, "verdicts", rows)
    found = report(few, ["round", "level"], out="page.html")
    assert evil not in Path("page.html").read_text() and evil in text(found)


def test_one_annotator_and_one_trace(few):
    add(few, "verdicts", [verdict(ids(few, "t1")[0], A, U)])
    found = report(few, out="page.html")
    assert "undefined" in text(found) and "no clause was judged by two" in text(found)
    assert "there is no agreement to tell of" in Path("page.html").read_text()


# -- what a dataset tells


def published(folder):
    return pq.read_table(Path(folder, "annotations", "train-00000-of-00001.parquet")).to_pylist()


def test_a_dataset_has_the_verdicts_and_its_card_tells_of_them(own, tmp_path):
    from datasets import load_dataset

    built = build(own, "good_or_better", "d", out=tmp_path / "d")
    rows = load_dataset("d", "annotations")["train"].to_list()
    assert rows == published("d")
    learned = {r["trace_id"]: r for s in ("train", "validation") for r in load_dataset("d", "default")[s]}
    assert {r["trace_id"] for r in rows} <= {t for t, r in learned.items()}
    for trace_id in {r["trace_id"] for r in rows}:
        mine = {r["clause_id"]: r["settled"] for r in rows if r["trace_id"] == trace_id}
        assert list(mine.values()).count(F) == learned[trace_id]["clauses_false"]
        assert learned[trace_id]["clauses_rated"] == sum(v in (T, F) for v in mine.values())
    for r in rows:
        assert learned[r["trace_id"]]["reasoning"][r["start_char"] : r["end_char"]] == r["text"]
    card = Path("d/README.md").read_text()
    assert "## What experts found" in card and "experts (3)" in card and "95 % interval" in card
    told = json.loads(Path("d/manifest.json").read_text())
    assert told["annotations"] == len(rows) and "annotations/train-00000-of-00001.parquet" in told["files"]
    assert built.row_hash == told["row_hash"]


def test_no_name_no_id_and_no_note_leaves_the_store(own, tmp_path):
    some = own.rows("SELECT clause_id FROM settled JOIN traces USING (trace_id) WHERE grade = 'excellent' LIMIT 5")
    add(own, "verdicts", [verdict(r["clause_id"], "Zed Secretive", T, note="ask Dora") for r in some])
    build(own, "excellent", "d", out=tmp_path / "d")
    assert {r["annotator"] for r in published("d")} == {f"annotator-{n}" for n in (1, 2, 3, 4)}
    for file in Path("d").rglob("*"):
        words = file.read_bytes() if file.is_file() and file.suffix != ".parquet" else b""
        words += str(pq.read_table(file).to_pylist()).encode() if file.suffix == ".parquet" else b""
        assert not [w for w in (b"Secretive", b"Dora", b"'ada'", b"id-ada") if w in words]


def test_a_later_annotator_with_earlier_answers_changes_nobodys_number(own, tmp_path):
    build(own, "excellent", "d", out=tmp_path / "a")
    before = {(r["clause_id"], r["annotator"]): r["verdict"] for r in published("a")}
    add(own, "verdicts", [verdict(c, "aaa", T, -60) for c in sorted({i for i, _ in before})])
    build(own, "excellent", "d", out=tmp_path / "b")
    after = {(r["clause_id"], r["annotator"]): r["verdict"] for r in published("b")}
    assert before.items() <= after.items() and {a for _, a in after} - {a for _, a in before} == {"annotator-4"}


def test_a_version_comes_again_to_the_byte_after_more_verdicts(own, tmp_path):
    build(own, "expert_clean", "d", out=tmp_path / "a")
    judge(own, {"dora": (0.5, 0.0)}, [r["trace_id"] for r in own.rows("SELECT trace_id FROM factuality")])
    done = rebuild(own, "d@1.0.0", out=tmp_path / "b")
    assert done.identical and not done.differs
    again = build(own, "expert_clean", "d", out=tmp_path / "c")
    assert again.written and again.version == "1.0.1"
    assert {
        r["clauses_false"]
        for s in ("train", "validation")
        for r in pq.read_table(f"c/default/{s}-00000-of-00001.parquet").to_pylist()
    } == {0}


def test_a_second_opinion_alone_is_another_version(own, tmp_path):
    """The rows have the same factuality, and the config `annotations` has one row more."""
    built = build(own, "excellent", "d", out=tmp_path / "a")
    assert not build(own, "excellent", "d").written
    sure = next(r for r in published("a") if r["settled"] == T and not r["tie"])
    add(own, "verdicts", [verdict(sure["clause_id"], "dora", T)])
    again = build(own, "excellent", "d", out=tmp_path / "b")
    assert again.version == "1.0.1" and again.row_hash != built.row_hash


def test_where_nobody_has_looked_the_card_says_so(filled, tmp_path):
    shutil.copytree(filled, tmp_path / "store")
    store = Store(tmp_path / "store")
    build(store, "excellent", "d", out=tmp_path / "a")
    assert "No expert has looked at these traces yet." in Path("a/README.md").read_text()
    assert not Path("a/annotations").exists() and json.loads(Path("a/manifest.json").read_text())["annotations"] == 0
    build(store, "direct", "e", out=tmp_path / "b")
    assert "What experts found" not in Path("b/README.md").read_text()
