"""Clauses: every catalogued case, what holds for any text, and how clauses are kept in the store."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from annotation import clauses
from annotation.clauses import SEGMENTER, cut, of_traces, record
from curation.errors import BadInput
from curation.rehearsal.world import the_world
from curation.rehearsal.writer import Pair, reasoning
from curation.runs import run as running
from curation.schema import TABLES, content_id, now
from curation.store import Store

CASES = Path(__file__).parent / "cases" / "segment_cases.jsonl"


def catalogue():
    """`sentences` is what stands between two ends; `clauses`, where a sentence makes two claims, what is cut."""
    cases = [json.loads(line) for line in CASES.read_text(encoding="utf-8").split("\n") if line]
    assert len({case["id"] for case in cases}) == len(cases) > 170
    return [pytest.param(case, id=case["id"]) for case in cases]


@pytest.mark.parametrize("case", catalogue())
def test_catalogue(case):
    assert len(case["sentences"]) == case["n"]
    assert [span.text for span in cut(case["text"])] == case.get("clauses", case["sentences"]), case["why"]


# -- what holds for any text

PIECES = [
    ". ", "? ", "! ", "; ", ", and ", ", but ", ": ", "\n", "\n\n", "\r\n", "\r", "\t", "- ", "1. ", "a) ", "# ", "> ",
    "| ", "**", "*", "_", "`", "```", "~~~", "(", ")", "[", "]", "“", "”", '"', "'", "’", "...", "…", "。", "e.g. ",
    "Fig. 2", "et al. ", "E. coli ", "p21 ", "RP11-34.5 ", "is ", "binds ", "its loss ", "that ", "if ",
    "complex I", "TP53", "the cap", "\u200b", "\ufeff", "\u00a0", "\u2028", "😀", "👩‍🔬", "β", "敲低", "İ", "ß",
    "\x00", "\x85", "٣", "²", "e\u0301",
]  # fmt: skip
TEXTS = st.one_of(st.text(max_size=80), st.lists(st.sampled_from(PIECES), max_size=40).map("".join))


@settings(max_examples=400, deadline=None)
@example("1.")
@example("a.\u200b\u200b")
@example("```\nx")
@given(TEXTS)
def test_every_letter_and_digit_is_in_just_one_clause(text):
    found = cut(text)
    at = 0
    for span in found:
        assert at <= span.start < span.end
        assert not any(c.isalnum() for c in text[at : span.start])
        assert text[span.start : span.end] == span.text == span.text.strip()
        assert any(c.isalnum() for c in span.text)
        at = span.end
    assert not any(c.isalnum() for c in text[at:])
    assert cut(text) == found


def test_another_process_cuts_alike():
    """Hashes of strings differ from one process to the next; what is cut must not."""
    text = "\n".join(case.values[0]["text"] for case in catalogue())
    code = (
        "import sys; from annotation.clauses import cut; print([s[:2] for s in cut(sys.stdin.buffer.read().decode())])"
    )
    done = subprocess.run([sys.executable, "-c", code], input=text.encode(), capture_output=True, check=True)
    assert done.stdout.decode().strip() == str([span[:2] for span in cut(text)])


LONG = {
    "prose": "Loss of MDM2 (e.g. in K562) stabilises p53, and its target CDKN1A is raised by it. p21 rises. ",
    "one sentence": "word ",
    "full stops": ".",
    "open brackets": "(a. ",
    "open quotes": "“a. ",
    "bold": "**a",
    "commas": ", and its loss is",
    "initials": "A. ",
    "bullets": "- NCBP1 binds the cap\n",
    "wrapped": "NCBP1 binds the cap of messenger RNA that is made in the nucleus,\n",
    "blank lines": "\n",
}


@pytest.mark.parametrize("piece", LONG)
def test_a_megabyte_is_cut_in_seconds(piece):
    """A quadratic step would take minutes; the clock of a shared machine is given much room."""
    text = (LONG[piece] * (1_000_000 // len(LONG[piece]) + 1))[:1_000_000]
    start = time.process_time()
    cut(text)
    assert time.process_time() - start < 20


# -- the planted world


def planted(n):
    world = the_world()
    for i, row in enumerate(random.Random(7).sample(world.rows(), n)):
        yield world, reasoning(Pair(row.pert, row.gene, row.line), row.label, 0.7, random.Random(i))


def test_the_planted_worlds_clauses_are_found():
    """Their sentences hold abbreviations, and names that begin with a small letter, on purpose."""
    for world, text in planted(500):
        assert [span.text for span in cut(text)] == [clause for clause, _ in world.clauses(text)]


def test_the_planted_worlds_clauses_are_found_on_wrapped_lines():
    for world, text in planted(200):
        words, lines = text.split(" "), [""]
        for word in words:
            if lines[-1] and len(lines[-1]) + 1 + len(word) > 72:
                lines.append(word)
            else:
                lines[-1] += f" {word}" if lines[-1] else word
        wrapped = "\n".join(lines)
        found = [span.text.replace("\n", " ") for span in cut(wrapped)]
        assert found == [clause for clause, _ in world.clauses(text)]


# -- in the store


def a_trace(trace_id, reasoning, created=None):
    row = dict.fromkeys(TABLES["traces"].schema.names) | {"trace_id": trace_id, "reasoning": reasoning}
    return pa.Table.from_pylist([row | {"created": created or now()}], TABLES["traces"].schema)


@pytest.fixture
def few(tmp_path):
    """A store of three traces, one of them without reasoning."""
    store = Store(tmp_path / "few", create=True)
    store.append("traces", a_trace("t1", "NCBP1 binds the cap. RPL28 is capped."))
    store.append("traces", a_trace("t2", "p53 rises. p21 too."))
    store.append("traces", a_trace("t3", None))
    return store


def another_segmenter(monkeypatch):
    monkeypatch.setattr(clauses, "SEGMENTER", "another")
    monkeypatch.setattr(clauses, "cut", lambda text: [clauses.Span(0, len(text), text)])


def test_clauses_of_traces_are_rows_of_the_table(few):
    found = of_traces(few, ["t2", "t1", "t3", "t1"])
    assert found.schema.equals(TABLES["clauses"].schema)
    rows = found.to_pylist()
    assert [(r["subject_id"], r["n"], r["text"]) for r in rows] == [
        ("t2", 0, "p53 rises."), ("t2", 1, "p21 too."),
        ("t1", 0, "NCBP1 binds the cap."), ("t1", 1, "RPL28 is capped."),
    ]  # fmt: skip
    assert rows[1]["clause_id"] == content_id("t2", 11, 19, "p21 too.")
    assert {(r["subject"], r["segmenter"], r["run_id"]) for r in rows} == {("trace", SEGMENTER, None)}
    assert few.sql("FROM raw.clauses").num_rows == 0, "nothing is written"
    assert of_traces(few, []).num_rows == 0


def test_an_unknown_trace_is_told(few):
    with pytest.raises(BadInput, match="t9: no trace has this id"):
        of_traces(few, ["t1", "t9"])


def test_clauses_are_recorded_once(few):
    assert record(few, ["t1"], "run1") == 2
    assert record(few, ["t1", "t2", "t3"], "run2") == 2
    assert record(few, ["t1", "t2", "t3"], "run3") == 0
    rows = of_traces(few, ["t1", "t2"]).to_pylist()
    assert [r["run_id"] for r in rows] == ["run1", "run1", "run2", "run2"] and all(r["created"] for r in rows)
    assert few.sql("FROM clauses").num_rows == few.sql("FROM raw.clauses").num_rows == 4


def test_a_new_segmenter_leaves_what_is_stored(few, monkeypatch):
    record(few, ["t1"], "run1")
    before = of_traces(few, ["t1"])
    another_segmenter(monkeypatch)
    assert of_traces(few, ["t1"]).equals(before)
    assert record(few, ["t1", "t2"], "run2") == 1
    assert of_traces(few, ["t1"]).equals(before)
    assert [r["segmenter"] for r in of_traces(few, ["t2"]).to_pylist()] == ["another"]


def test_of_two_that_record_at_once_one_reuses_what_the_other_wrote(few, monkeypatch):
    """The other writes between the look into the store and the writing, with another segmenter."""
    look, looked = clauses._stored, []

    def slow(store, ids, subject):
        found = look(store, ids, subject)
        if not looked:
            looked.append(True)
            with pytest.MonkeyPatch.context() as patch:
                another_segmenter(patch)
                assert record(store, ids, "theirs") == 1
        return found

    monkeypatch.setattr(clauses, "_stored", slow)
    assert record(few, ["t1"], "mine") == 0
    assert {r["segmenter"] for r in few.rows("FROM raw.clauses")} == {"another"}


READ_ANEW = {
    "other words": "NCBP1 binds RNA. RPL28 is capped.",
    "more at the end": "NCBP1 binds the cap. RPL28 is capped. It is so.",
    "more at the start": "So NCBP1 binds the cap. RPL28 is capped.",
    "less": "NCBP1 binds the cap.",
}


@pytest.mark.parametrize("text", READ_ANEW.values(), ids=READ_ANEW)
def test_a_text_that_was_read_anew_is_cut_anew(text, few):
    """A reader's new version may find another reasoning in the response of the same trace."""
    record(few, ["t1"], "run1")
    old = of_traces(few, ["t1"])
    few.append("traces", a_trace("t1", text))
    assert [r["text"] for r in of_traces(few, ["t1"]).to_pylist()] == [span.text for span in cut(text)]
    assert record(few, ["t1"], "run2") == len(cut(text))
    assert record(few, ["t1"], "run3") == 0
    few.append("traces", a_trace("t1", "NCBP1 binds the cap. RPL28 is capped."))
    assert of_traces(few, ["t1"]).equals(old), "the old text has its old clauses"


# -- the command


def test_the_command_prints_a_traces_clauses(filled, run, ask_json):
    trace = ask_json("--store", filled, "sql", "SELECT trace_id, reasoning FROM traces WHERE valid LIMIT 1")[0]
    found = ask_json("--store", filled, "annotate", "clauses", trace["trace_id"][:12])
    assert [c["text"] for c in found] == [span.text for span in cut(trace["reasoning"])]
    assert list(found[0]) == ["clause_id", "n", "start_char", "end_char", "text", "segmenter", "recorded"]
    assert not found[0]["recorded"] and found[0]["segmenter"] == SEGMENTER
    shown = run("--store", filled, "annotate", "clauses", trace["trace_id"])
    assert shown.returncode == 0 and shown.stdout.startswith("n  start_char  end_char  text\n")


def test_the_command_tells_what_is_recorded(few, ask_json):
    with running(few, "annotate", {}) as this:
        record(few, ["t1"], this.id)
    assert {c["recorded"] for c in ask_json("--store", few.place, "annotate", "clauses", "t1")} == {True}
    assert ask_json("--store", few.place, "annotate", "clauses", "t3") == []


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [(["t9"], 1, "no trace has this id"), (["t"], 1, "several traces begin so"), ([], 2, "Missing argument")],
)
def test_what_is_wrong_is_told(words, status, told, few, run):
    done = run("--store", few.place, "annotate", "clauses", *words)
    assert (done.returncode, done.stdout) == (status, "") and told in done.stderr and "Traceback" not in done.stderr


def test_without_the_extra_the_pip_line_is_told(few):
    code = (
        "import sys; sys.modules['sentencex'] = None; import synthpert\n"
        f"sys.argv = ['synthpert', '--store', {few.place!r}, 'annotate', 'clauses', 't1']\nsynthpert.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "pip install 'synthpert[annotate]'" in done.stderr


def test_a_verb_of_two_words_is_a_group_of_its_own(run):
    done = run("annotate", "--help")
    assert done.returncode == 0 and "clauses" in done.stdout
    assert run("annotate", "nope").returncode == run("annotate").returncode == 2
