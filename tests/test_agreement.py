"""Agreement: held to published examples, to the library, and to what scripted experts were made to do."""

import random
import shutil
import subprocess
import sys

import krippendorff
import numpy as np
import pytest
from kit.experts import add, verdict
from sklearn.metrics import cohen_kappa_score

from annotation.agreement import agreement, cohen_kappa, kappa_of_counts, krippendorff_alpha, why_undefined
from annotation.sql import query
from curation.coincidences import VERDICTS, alpha
from curation.errors import BadInput
from curation.store import Store


def rows(*annotators):
    return [[None if v in ".*" else v for v in row.split()] for row in annotators]


# Krippendorff (2011), "Computing Krippendorff's alpha-reliability", examples A, B and C; and the worked example of
# Wikipedia's article "Krippendorff's alpha"
PUBLISHED = {
    "A: two observers, two values": (rows("0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0"), 0.095),
    "B: two observers, five values": (rows("a a b b d c c c e d d a", "b a b b b c c c e d d d"), 0.692),
    "C: four observers, values missing": (
        rows(
            "1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 ."
        ),
        0.743,
    ),
    "Wikipedia: three coders, values missing": (
        rows("* * * * * 3 4 1 2 1 1 3 3 * 3", "1 * 2 1 3 3 4 3 * * * * * * *", "* * 2 1 3 4 4 * 2 1 1 3 3 * 4"),
        0.691,
    ),
}


@pytest.mark.parametrize(("ratings", "value"), PUBLISHED.values(), ids=PUBLISHED)
def test_published_examples(ratings, value):
    assert krippendorff_alpha(ratings) == pytest.approx(value, abs=0.0005)
    assert why_undefined(ratings) is None
    numbers = np.array([[np.nan if v is None else ord(v) for v in row] for row in ratings])
    assert krippendorff_alpha(numbers) == krippendorff_alpha(ratings), "an array, with NaN for what is missing"


def test_the_library_says_the_same_of_random_ratings():
    rng = np.random.default_rng(0)
    for _ in range(200):
        ratings = rng.integers(0, 3, (rng.integers(2, 6), rng.integers(2, 30))).astype(float)
        ratings[rng.random(ratings.shape) < 0.4] = np.nan
        mine = krippendorff_alpha(ratings)
        paired = ratings[:, (~np.isnan(ratings)).sum(axis=0) > 1]
        if len(set(paired[~np.isnan(paired)])) < 2:
            assert mine is None
        else:
            assert mine == pytest.approx(krippendorff.alpha(ratings, level_of_measurement="nominal"))


NONE = "no clause was judged by two annotators"
DEGENERATE = {
    "nobody": ([], NONE),
    "no clause": ([[], []], NONE),
    "one annotator": ([["TRUE", "FALSE"]], NONE),
    "no overlap": ([["TRUE", None], [None, "FALSE"]], NONE),
    "all alike": ([["TRUE", "TRUE"], ["TRUE", "TRUE"]], "all verdicts are the same"),
    "alike where two judged": ([["TRUE", "FALSE"], ["TRUE", None]], "all verdicts are the same"),
    "nothing": ([[None, None], [None, None]], NONE),
}


@pytest.mark.parametrize(("ratings", "why"), DEGENERATE.values(), ids=DEGENERATE)
def test_what_is_undefined_is_none_with_a_reason(ratings, why):
    assert krippendorff_alpha(ratings) is None and why_undefined(ratings) == why


def test_annotators_of_different_length_are_refused():
    with pytest.raises(BadInput, match=r"clauses \[1, 2\]|\[1, 2\] clauses"):
        krippendorff_alpha([["TRUE"], ["TRUE", "FALSE"]])


def test_it_needs_neither_the_extra_nor_what_only_the_tests_have():
    code = (
        "import sys\nfor name in ('sentencex', 'argilla', 'krippendorff', 'pytest'): sys.modules[name] = None\n"
        "from annotation.agreement import krippendorff_alpha\nimport annotation.report\n"
        "print(krippendorff_alpha([['TRUE', 'FALSE'], ['TRUE', 'TRUE']]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "0.0\n", done.stderr


# -- kappa


def test_kappa_is_that_of_the_worked_example():
    """Of Wikipedia's article "Cohen's kappa": 50 proposals, both yes 20, both no 15, else 5 and 10."""
    assert kappa_of_counts(np.array([[[20.0, 5], [10, 15]]]))[0] == pytest.approx(0.4)


def test_counts_give_the_same_kappa_as_scikit_learn():
    rng = np.random.default_rng(0)
    for _ in range(50):
        x, y = rng.choice(VERDICTS, (2, 40))
        counts = np.array([[[np.sum((x == a) & (y == b)) for b in VERDICTS] for a in VERDICTS]])
        assert kappa_of_counts(counts)[0] == pytest.approx(cohen_kappa_score(x, y))
    assert np.isnan(kappa_of_counts(np.array([[[5.0, 0], [0, 0]]]))[0])


def met(pairs):
    return [({"trace_id": t, "verdict": a}, {"trace_id": t, "verdict": b}) for t, a, b in pairs]


def test_a_kappa_that_is_undefined_says_why():
    assert cohen_kappa([]).why == "no clause was judged by both"
    assert cohen_kappa(met([("t", "TRUE", "TRUE")] * 9)).why == "all verdicts are the same"
    few = cohen_kappa(met([("t", "TRUE", "TRUE"), ("u", "FALSE", "TRUE")]))
    assert few.value == 0 and few.low is None and "fewer than 4 traces" in few.why


# -- the interval


def made(rng, traces, each=5, accuracy=0.85):
    """Ratings of three annotators; traces differ in how much of them is true, so their clauses are not independent."""
    for t in range(traces):
        true = rng.betavariate(2, 1)
        for c in range(each):
            truth = rng.random() < true
            for a in range(3):
                said = truth if rng.random() < accuracy else not truth
                yield {"trace_id": t, "clause_id": (t, c), "annotator": a, "verdict": str(said).upper(), "level": None}


def test_the_interval_of_alpha_covers_the_truth_about_as_often_as_it_says():
    rng = random.Random(3)
    truth = alpha(made(rng, 4000)).value
    found = [alpha(made(rng, 25)) for _ in range(150)]
    assert 0.88 <= sum(f.low <= truth <= f.high for f in found) / len(found) <= 1.0
    assert all(f.low <= f.value <= f.high for f in found)


# -- on a store


def by_name(found, kind):
    return {r["annotator"]: r for r in found[kind]}


def test_what_experts_agree_on_is_what_the_library_finds(reviewed):
    ratings = Store(reviewed).rows(query("ratings"), {"name": None, "version": None})
    found = agreement(ratings)
    table = {
        name: {r["clause_id"]: r["verdict"] for r in ratings if r["annotator"] == name}
        for name in ("ada", "ben", "cyd")
    }
    ids = sorted({r["clause_id"] for r in ratings})
    data = [[own.get(i, "nan") for i in ids] for own in table.values()]
    assert found["alpha"] == pytest.approx(krippendorff.alpha(data, level_of_measurement="nominal"))
    assert found["alpha_low"] < found["alpha"] < found["alpha_high"]
    shared = [(a, b) for a, b in zip(data[0], data[1], strict=True) if "nan" not in (a, b)]
    pair = next(p for p in found["pairs"] if (p["annotator"], p["other"]) == ("ada", "ben"))
    assert pair["clauses"] == len(shared)
    assert pair["kappa"] == pytest.approx(cohen_kappa_score(*zip(*shared, strict=True)))
    assert pair["same"] == pytest.approx(sum(a == b for a, b in shared) / len(shared))
    own = by_name(found, "annotators")
    assert own["ada"]["same"] > own["cyd"]["same"], "cyd was made to err most"
    assert own["cyd"]["without"] > found["alpha"] > own["ada"]["without"]
    assert [r["level"] for r in found["levels"]] == ["gene", "pathway"]
    assert sum(own["ada"][v] for v in VERDICTS) == own["ada"]["clauses"] == len(table["ada"])


def test_two_annotators_of_one_name_stay_two(reviewed, tmp_path):
    """Two servers may each have an ada."""
    shutil.copytree(reviewed, tmp_path / "store")
    store = Store(tmp_path / "store")
    some = store.rows("SELECT clause_id FROM ratings LIMIT 20")
    add(store, "verdicts", [verdict(r["clause_id"], "ada", "TRUE") | {"annotator": "other"} for r in some])
    found = agreement(store.rows(query("ratings"), {"name": None, "version": None}))
    assert {r["annotator"] for r in found["annotators"]} == {"ada id-ada", "ada other", "ben", "cyd"}


def test_one_annotator_or_none(tmp_path):
    alone = agreement(r for r in made(random.Random(0), 6) if r["annotator"] == 0)
    assert (alone["alpha"], alone["alpha_why"], alone["clauses"], alone["pairs"]) == (None, NONE, 0, [])
    assert alone["annotators"][0]["same"] is None and alone["annotators"][0]["without"] is None
    nothing = agreement([])
    assert nothing["alpha"] is None and nothing["levels"] == nothing["annotators"] == []
