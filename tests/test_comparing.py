"""Comparing: paired differences, which examples changed, and what cannot be compared."""

import pytest
from kit.scored import DOWN, MEASURED, NONE, UP, guessed, laid, value

from curation.errors import BadInput
from curation.printing import table
from eval import comparing, scoring


def pair(**more):
    a = laid({"answer": guessed(MEASURED, right=0.5)}, model="a")
    return a, laid({"answer": guessed(MEASURED, right=0.8, seed=9)}, model="b", **more)


def test_a_difference_is_that_of_the_scores_and_of_a_model_to_itself_none():
    a, b = pair()
    found = comparing.compare([a], [b], rounds=400)
    whole = [r for r in found.metrics if (r["task"], r["cell_line"]) == ("three-class", "all")]
    [row] = [r for r in whole if r["metric"] == "accuracy"]
    scored = {m: scoring.score([x], rounds=400) for m, x in (("a", a), ("b", b))}
    assert row["a"] == value(scored["a"], "accuracy", task="three-class")
    assert row["difference"] == pytest.approx(row["b"] - row["a"]) and row["low"] > 0
    same = comparing.compare([a], [a], rounds=200)
    assert all(r["difference"] == 0 for r in same.metrics if r["difference"] is not None) and not same.changed


def test_only_what_both_predicted_counts_and_the_rest_is_counted():
    a, _ = pair()
    half = MEASURED.slice(100)
    b = laid({"answer": guessed(half)}, rows=half, model="b")
    found = comparing.compare([a], [b], rounds=100)
    assert (found.both, found.only_a, found.only_b) == (140, 100, 0)
    alone = comparing.compare(
        [laid({"answer": guessed(MEASURED)}, whole=False)], [laid({"answer": guessed(half)}, rows=half, whole=False)]
    )
    assert (alone.both, alone.only_a, alone.only_b) == (140, 100, 0)


def test_what_changed_is_listed_and_adds_up():
    a, b = pair()
    found = comparing.compare([a], [b], rounds=100)
    total = sum(r[f] for r in found.fates for f in comparing.FATES)
    assert total == 240 and {r["label"] for r in found.fates} == {UP, DOWN, NONE}
    said = zip(guessed(MEASURED, right=0.5), guessed(MEASURED, right=0.8, seed=9), strict=True)
    assert len(found.changed) == sum(x != y for x, y in said)
    assert sum(r["n"] for r in comparing.moves(found)) == len(found.changed)
    assert {"example_id", "cell_line", "pert", "gene", "label", "a", "b"} < set(found.changed[0])
    text = comparing.text(found, table)
    assert "B less A" in text and f"{len(found.changed):,} examples have another answer" in text


def test_what_cannot_be_compared_is_refused():
    a, b = pair()
    with pytest.raises(BadInput, match="default test three-class, B of rpe1_holdout") as e:
        comparing.compare([a], [laid({"answer": guessed(MEASURED)}, split="rpe1_holdout")])
    assert "nothing to compare" in str(e.value)
    with pytest.raises(BadInput, match="a comparison is of two models"):
        comparing.compare([a, b], [b])
