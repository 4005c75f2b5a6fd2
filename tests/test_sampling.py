"""What a round asks about and what its records show, without a server."""

import csv
import gzip
import html
import json
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation import planting, predictions, records, rounds
from annotation.planting import Fake, turned
from annotation.push import Files, prepare
from annotation.sampling import Scheme, draw
from curation.errors import BadInput, RefusedSQL
from curation.rehearsal.judges import share
from curation.rehearsal.world import the_world
from curation.store import Store


@pytest.fixture
def held(filled, tmp_path):
    """A copy of the filled store."""
    import shutil

    return Store(shutil.copytree(filled, tmp_path / "held"))


def ids(drawn):
    return [row["clause_id"] for row in drawn.clauses]


# -- the draw


def test_the_same_scheme_draws_the_same_and_another_seed_another(filled):
    store = Store(filled)
    a, b = draw(store, Scheme(20)), draw(store, Scheme(20))
    assert ids(a) == ids(b) and a.texts == 20
    assert set(ids(a)) < set(ids(draw(store, Scheme(30))))
    assert set(ids(a)) != set(ids(draw(store, Scheme(20, seed=1))))


def test_all_clauses_of_a_text_are_drawn_and_stand_together(filled):
    drawn = draw(Store(filled), Scheme(20))
    for text in {row["subject_id"] for row in drawn.clauses}:
        own = [row for row in drawn.clauses if row["subject_id"] == text]
        assert [row["n"] for row in own] == list(range(len(own)))
        assert [row["place"] - own[0]["place"] for row in own] == list(range(len(own)))
    assert len({row["place"] for row in drawn.clauses}) == len(drawn.clauses)


def test_as_many_of_each_stratum_as_long_as_it_has_them(filled):
    strata = draw(Store(filled), Scheme(60, by=("grade", "label"))).strata
    assert sum(row["drawn"] for row in strata) == 60
    most = max(row["drawn"] for row in strata)
    assert all(row["drawn"] in (most, most - 1) or row["drawn"] == row["there"] for row in strata)
    counted = Store(filled).rows(
        "SELECT count(*) AS n FROM traces WHERE valid AND approach <> 'control' AND grade = $grade AND label = $label",
        {k: strata[0][k] for k in ("grade", "label")},
    )
    assert strata[0]["there"] == counted[0]["n"]


def test_where_critics_disagree_can_be_asked_for(filled):
    store = Store(filled)
    with pytest.raises(BadInput, match="no trace with readable reasoning fits"):
        draw(store, Scheme(5, where="disagreement"))  # there is one critic
    assert {row["disagreement"] for row in draw(store, Scheme(5, by=("disagreement",))).strata} == {False}


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_whole_texts_are_for_everybody_until_their_share_is_reached(share, filled):
    drawn = draw(Store(filled), Scheme(30, everybody=share))
    shared = sum(row["everybody"] for row in drawn.clauses)
    size = Counter(row["subject_id"] for row in drawn.clauses)
    assert share * len(drawn.clauses) <= shared < share * len(drawn.clauses) + max(size.values())
    texts = {row["subject_id"] for row in drawn.clauses if row["everybody"]}
    assert shared == sum(size[text] for text in texts)


WRONG = {
    "a column that is none": ({"by": ("nope",)}, BadInput, "--by nope: not one of"),
    "a condition that is none": ({"where": "grade ="}, RefusedSQL, "syntax error"),
    "a condition that gets out": ({"where": "true) OR (true"}, RefusedSQL, "closes a bracket"),
    "nothing that fits": ({"where": "pert = 'TP53'"}, BadInput, "--where pert = 'TP53': no trace"),
}


@pytest.mark.parametrize(("more", "error", "told"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_drawn_is_told(more, error, told, filled):
    with pytest.raises(error, match=re.escape(told)):
        draw(Store(filled), Scheme(5, **more))


# -- planted clauses


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("TP53 activates CDKN1A.", "TP53 represses CDKN1A."),
        ("It is an increase, we think.", "It is a decrease, we think."),
        ("Increased export of it is seen.", "Decreased export of it is seen."),
        ("An activator of X.", "A repressor of X."),
        ("It raises A and lowers B.", None),
        ("The activator-like fold binds.", None),
        ("Nothing is said.", None),
    ],
)
def test_a_direction_is_turned_round(text, wanted):
    assert turned(text) == wanted


def test_turning_twice_gives_the_first_back():
    words = planting._turns()
    assert len(words) > 80 and all(words[words[w]] == w and words[w] != w for w in words)


def test_a_share_is_planted_where_the_answer_is_right_and_spread_over_the_texts(filled):
    store = Store(filled)
    best = Scheme(40, where="grade = 'excellent'")
    plain, drawn = draw(store, best), draw(store, best._replace(planted=0.1))
    fake = [row for row in drawn.clauses if row["truth"]]
    assert len(fake) == round(0.1 * len(plain.clauses)) and {row["truth"] for row in fake} == {"FALSE"}
    assert max(Counter(row["subject_id"] for row in fake).values()) == 1
    right = {
        r["trace_id"]
        for r in store.rows("SELECT trace_id FROM traces WHERE correct AND coalesce(grade = 'excellent', true)")
    }
    assert {row["subject_id"] for row in fake} <= right
    before = {row["place"]: row for row in plain.clauses}
    for row in fake:
        assert row["subject"] == "planted" and row["text"] == turned(before[row["place"]]["text"])
        assert row["clause_id"] != before[row["place"]]["clause_id"]


def test_most_of_what_is_turned_round_is_false(filled):
    """The presumption is that what a right answer rests on is true; the planted world can tell."""
    fake = [row for row in draw(Store(filled), Scheme(150, planted=0.2)).clauses if row["truth"]]
    known = [share([true for _, true in the_world().clauses(row["text"])]) for row in fake]
    known = [true for true in known if true is not None]
    assert len(known) > 30 and sum(known) / len(known) < 0.15, (sum(known), len(known))


def test_a_file_of_clauses_is_planted(filled, tmp_path):
    file = tmp_path / "planted.csv"
    file.write_text('text,truth\n"A, as we know, binds B.",TRUE\nB binds A.,false\n')
    fakes = planting.read(file)
    assert fakes == [Fake("A, as we know, binds B.", "TRUE"), Fake("B binds A.", "FALSE")]
    fake = [row for row in draw(Store(filled), Scheme(10), fakes=fakes).clauses if row["truth"]]
    assert {(row["text"], row["truth"]) for row in fake} == set(fakes)
    with pytest.raises(BadInput, match="clauses to plant, and only"):
        draw(Store(filled), Scheme(1), fakes=fakes * 50)


BAD_FILES = {
    "no header": ("A binds B.,TRUE\n", "line 1: found no column text"),
    "no truth": ("text,truth\nA,\n", "line 2, column truth: found ''"),
    "no text": ("text,truth\n,TRUE\n", "line 2, column text: found nothing"),
    "a truth that is none": ("text,truth\nA,TRUE\nB,maybe\n", "line 3, column truth: found 'maybe'"),
    "nothing": ("text,truth\n", "found no line"),
}


@pytest.mark.parametrize(("text", "told"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_of_planted_clauses_is_told(text, told, tmp_path):
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(BadInput, match=re.escape(told)):
        planting.read(tmp_path / "f.csv")


# -- predictions


def write(file, **columns):
    pq.write_table(pa.table(columns), file)
    return file


@pytest.fixture
def written(held, tmp_path):
    """A file of forty predictions, half of them right; one has no reasoning."""
    found = held.rows("SELECT example_id, label FROM examples ORDER BY example_id LIMIT 40")
    answers = [row["label"] if i % 2 else "I do not know" for i, row in enumerate(found)]
    reasoning = [f"QX{i} is a kinase. It raises QY." if i else None for i in range(40)]
    return write(
        tmp_path / "p.parquet", example_id=[r["example_id"] for r in found], reasoning=reasoning, answer=answers
    )


def test_predictions_are_drawn_as_many_right_as_wrong_and_kept(held, written):
    ready = prepare(held, "round-2", Scheme(20), files=Files(predictions=written))
    assert [(row["correct"], row["drawn"]) for row in ready.plan["strata"]] == [(False, 10), (True, 10)]
    assert {row["subject"] for row in ready.drawn.clauses} == {"prediction"} and len(ready.drawn.clauses) == 40
    prepare(held, "round-2", Scheme(20), files=Files(predictions=written))
    assert held.sql("FROM raw.predictions").num_rows == 40
    rounds.place(held, rounds.Round("round-2", "", "", {"subject": "prediction"}, 2, None), ready.drawn, "run")
    placed = rounds.placed(held, "round-2")
    assert [row["clause_id"] for row in placed] == ids(ready.drawn) and all(row["pert"] for row in placed)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"example_id": ["x"], "answer": ["a"]}, "wanted reasoning among them"),
        ({"example_id": ["x"], "reasoning": ["r"], "answer": ["a"]}, "line 1: found 'x', wanted the id of an example"),
        ({"example_id": ["x"], "reasoning": [1], "answer": ["a"]}, "column reasoning: found int64, wanted text"),
    ],
)
def test_a_bad_file_of_predictions_is_told(columns, told, held, tmp_path):
    with pytest.raises(BadInput, match=re.escape(told)):
        predictions.read(held, write(tmp_path / "p.parquet", **columns))


# -- the record


NASTY = "</script><script>alert(1)</script> {{x}} $& $' #TEMPLATE# \"quoted\" 'so' <b>β</b> \\ &amp;"


def row(text, n=0):
    about = {"pert": "NCBP1", "gene": "RPL28", "cell_line": "K562", "subject_id": "t1"}
    return {"clause_id": f"c{n}", "place": n, "n": n, "text": text, "everybody": False, "truth": None, **about}


def test_a_record_shows_the_clause_in_its_text_and_hides_the_rest(filled):
    store = Store(filled)
    drawn = draw(store, Scheme(10, planted=0.2))
    example = store.rows("SELECT pert, gene, cell_line FROM examples LIMIT 1")[0]
    made = list(records.records([one | example for one in drawn.clauses], {}))
    assert [one["external_id"] for one in made] == ids(drawn)
    for one, clause in zip(made, drawn.clauses, strict=True):
        field = one["fields"]["clause"]
        assert html.unescape(field["text"]) == clause["text"]
        judged = [item for item in field["reasoning"] if item["judged"]]
        assert [item["text"] for item in judged] == [field["text"]] and judged[0]["n"] == field["number"]
        assert set(one) == {"external_id", "fields", "metadata"} and set(one["metadata"]) == {"trace_id", "order"}
        assert set(field) == {"question", "genes", "of", "text", "number", "reasoning"}
    planted = next(clause for clause in drawn.clauses if clause["truth"])
    beside = [one for one in made if one["metadata"]["trace_id"] == planted["subject_id"]]
    shown = [[html.unescape(i["text"]) for i in one["fields"]["clause"]["reasoning"]] for one in beside]
    assert all(planted["text"] in texts for texts in shown), "nothing gives a planted clause away"


@given(st.text())
def test_any_text_is_shown_as_it_is(text):
    safe = records.safe(text)
    assert html.unescape(safe).replace("\x00", "\ufffd") == html.unescape(safe)
    assert not set(safe) & set("<>\"'$#\x00")
    assert "\r" in text or any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in text) or html.unescape(safe) == text


def test_a_nasty_text_does_no_harm():
    field = next(records.records([row(NASTY)], {}))["fields"]["clause"]
    assert html.unescape(field["text"]) == NASTY
    assert "</script" not in json.dumps(field) and "#TEMPLATE#" not in json.dumps(field)


def test_names_and_links_stand_where_they_are_known(tmp_path):
    file = tmp_path / "names.tsv.gz"
    with gzip.open(file, "wt") as out:
        csv.writer(out, delimiter="\t").writerows(
            [("symbol", "name", "entrez"), ("NCBP1", 'nuclear "cap" protein', "4686")]
        )
    known = records.names(file)
    pert, gene = next(records.records([row("A.")], known))["fields"]["clause"]["genes"]
    assert pert["ncbi"].endswith("/gene/4686") and "NCBP1" in pert["uniprot"] and "cap" in pert["name"]
    assert gene == {"symbol": "RPL28", "role": "measured"}
    Path("bad.tsv").write_text("a\tb\n")
    with pytest.raises(BadInput, match="found no column entrez"):
        records.names(Path("bad.tsv"))


def test_the_guidelines_have_an_example_of_each_verdict_and_every_level():
    text = records.guidelines()
    for verdict in records.VERDICTS.values():
        assert re.search(rf'^- ".*\*\*{verdict}\*\*', text, re.M | re.S) and f"**{verdict}**" in text
    for level in records.LEVELS.values():
        assert level in text


# -- the command


def test_the_plan_is_told_and_nothing_is_written(held, ask_json, run):
    words = ["annotate", "push", "--name", "r", "--sample", "10", "--everybody", "0.3", "--dry-run", "--seconds", "60"]
    before = held.snapshot()
    plan = ask_json("--store", held.place, *words)
    assert plan["minutes"] == (plan["clauses"] - plan["everybody"]) * 2 and plan["minutes_each"] == plan["everybody"]
    assert held.snapshot() == before
    assert "of expert time in all" in run("--store", held.place, *words).stdout


TOLD = {
    "nobody to ask": (["--sample", "5"], "say --yes"),
    "a name that will not do": (["--sample", "5", "--name", "a/b"], "--name a/b: wanted letters"),
    "no server": (["--sample", "5", "--yes"], "ARGILLA_API_URL"),
    "both kinds": (["--sample", "5", "--planted", "0.1", "--planted-file", "f.csv"], "give one of them"),
}


@pytest.mark.parametrize(("words", "told"), TOLD.values(), ids=TOLD)
def test_what_is_wrong_with_a_push_is_told(words, told, filled, run, monkeypatch):
    monkeypatch.delenv("ARGILLA_API_URL", raising=False)
    Path("f.csv").write_text("text,truth\nA,TRUE\n")
    done = run("--store", filled, "annotate", "push", "--name", "r", *words)
    assert (done.returncode, done.stdout) == (1, "") and told in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["link", "status", "pull"])
def test_a_round_that_is_not_there_is_told(verb, filled, run):
    done = run("--store", filled, "annotate", verb, "nope")
    assert done.returncode == 1 and "nope: no round has this name" in done.stderr
