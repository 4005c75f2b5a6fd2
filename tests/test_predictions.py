"""Predictions: what can be read of any model, and the one line that says what is wrong with a file."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kit.scored import DOWN, NONE, UP, examples, guessed, predicted, probabilities

from curation.errors import BadInput
from eval import answered, csvs, predictions
from eval.answered import lay, views
from eval.words import DE, DIRECTION

MEASURED = examples()


def write(table, name="p.parquet"):
    pq.write_table(table, name)
    return Path(name)


def laid(table, measured=MEASURED, path="p.parquet"):
    [(shared, own)] = predictions.sets(predictions.whole(table, path))
    return lay(own, shared, measured, path)


def test_what_is_written_is_read_again_with_every_column():
    given = predicted(MEASURED, {"answer": guessed(MEASURED), **probabilities(MEASURED)}, score_kind="share")
    predictions.write(given, "p.parquet")
    read = predictions.read("p.parquet")
    assert read.schema == predictions.SCHEMA
    assert read.select(given.column_names).to_pylist() == given.to_pylist()
    assert all(field.metadata[b"description"] for field in predictions.SCHEMA)


def test_an_id_and_a_score_are_enough():
    read = predictions.read(write(pa.table({"example_id": ["a", "b"], "score": pa.array([1, -3])}), "gears.parquet"))
    row = read.to_pylist()[0]
    assert (row["model"], row["task"], row["score_kind"], row["score"]) == ("gears", "three-class", "given", 1.0)
    assert row["answer"] is None and row["split"] is None


def test_of_probabilities_alone_the_likeliest_label_is_the_answer():
    columns = {"p_up": [0.5, 0.3, 0.2, 0.0], "p_down": [0.2, 0.4, 0.2, 0.0], "p_none": [0.3, 0.3, 0.6, 0.0]}
    read = predictions.read(write(pa.table({"example_id": list("abcd"), **columns})))
    assert read["answer"].to_pylist() == [UP, DOWN, NONE, None]
    refused = pa.table({"example_id": ["a"], "p_up": [0.4], "p_down": [0.1], "p_none": [0.5], "reason": ["truncated"]})
    assert predictions.read(write(refused))["answer"].to_pylist() == [None]


def test_sets_are_kept_apart_in_the_files_order():
    both = pa.concat_tables([predicted(MEASURED, {"answer": guessed(MEASURED)}, model=m) for m in ("b", "a")])
    found = list(predictions.sets(predictions.whole(both, "p")))
    assert [shared["model"] for shared, _ in found] == ["b", "a"]
    assert [own.num_rows for _, own in found] == [MEASURED.num_rows] * 2
    assert set(found[1][1]["model"].to_pylist()) == {"a"}


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        ({"id": ["a"]}, "p.parquet: found the columns id, wanted example_id among them"),
        ({"example_id": ["a"]}, "neither answers nor scores"),
        ({"example_id": pa.array([], pa.string()), "answer": pa.array([], pa.string())}, "found no rows"),
        ({"example_id": [7], "score": [1.0]}, "column example_id: found int64, wanted text"),
        ({"example_id": ["a"], "score": ["high"]}, "column score: found string, wanted numbers"),
        ({"example_id": ["a", None], "score": [1.0, 2.0]}, "line 2, column example_id: found None"),
        (
            {"example_id": ["a", "b"], "answer": [UP, "up"]},
            "line 2, column answer: found 'up', wanted one of upregulated",
        ),
        ({"example_id": ["a"], "answer": [UP], "label": ["increase"]}, "column label: found 'increase'"),
        ({"example_id": ["a"], "answer": [UP], "task": ["de"]}, "column task: found 'de', wanted one of three-class"),
        ({"example_id": ["a"], "score": [float("nan")]}, "line 1, column score: found nan, wanted a finite number"),
        ({"example_id": ["a"], "score": [float("-inf")]}, "line 1, column score: found -inf"),
        ({"example_id": ["a"], "p_up": [float("inf")]}, "column p_up: found inf"),
        ({"example_id": ["a"], "p_up": [1.2]}, "column p_up: found 1.2, wanted a probability from 0 to 1"),
        ({"example_id": ["a"], "p_down": [-0.1]}, "column p_down: found -0.1"),
        ({"example_id": ["a"], "p_up": [0.7], "p_none": [0.7]}, "found a sum of 1.4"),
        ({"example_id": ["a", "b", "a"], "answer": [UP] * 3}, "line 1, column example_id: found a 2 times"),
    ],
)
def test_a_file_that_cannot_be_scored_is_refused_in_one_line(columns, line):
    with pytest.raises(BadInput) as e:
        predictions.read(write(pa.table(columns)))
    assert line in str(e.value) and "\n" not in str(e.value) and str(e.value).startswith("p.parquet")
    if columns.keys() > {"example_id"}:
        with pytest.raises(BadInput):
            predictions.write(pa.table(columns), "again.parquet")


def test_what_is_no_parquet_is_refused():
    Path("p.parquet").write_text("example_id,answer\n")
    with pytest.raises(BadInput, match="no Parquet.*--input csv"):
        predictions.read("p.parquet")
    with pytest.raises(BadInput, match="no such file"):
        predictions.read("none.parquet")
    with pytest.raises(BadInput, match="No such file"):
        predictions.write(predicted(MEASURED, {"answer": guessed(MEASURED)}), "none/p.parquet")
    assert not os.path.exists("none")


# -- beside what was measured


def test_predictions_are_laid_on_their_examples_in_any_order_and_the_missing_are_seen():
    rows = MEASURED.take(np.random.default_rng(0).permutation(MEASURED.num_rows)[:200])
    a = laid(predicted(rows, {"answer": rows["label"].to_pylist()}))
    assert a.whole and a.given.sum() == 200 and len(a.given) == MEASURED.num_rows
    assert (a.answer[a.given] == a.truth[a.given]).all() and (a.answer[~a.given] == 3).all()


def test_an_unknown_id_and_another_label_are_refused():
    with pytest.raises(BadInput, match=r"1 of 1 ids that are not: zz.*wanted ids of the test side of default"):
        laid(pa.table({"example_id": ["zz"], "answer": [UP], "split": ["default"], "side": ["test"]}))
    labels = MEASURED["label"].to_pylist()
    labels[3] = UP if labels[3] != UP else DOWN
    other = predicted(MEASURED.set_column(4, "label", pa.array(labels)), {"answer": guessed(MEASURED)})
    with pytest.raises(BadInput, match="line 4, column label: found .* as the dataset has it"):
        laid(other)
    with pytest.raises(BadInput, match="rows without cell_line.*--dataset"):
        laid(pa.table({"example_id": ["a"], "answer": [UP]}), measured=None)


def scores(columns, **shared):
    few = MEASURED.slice(0, len(next(iter(columns.values()))))
    a = laid(predicted(few, columns, **shared), measured=few)
    return {v.task: v for v in views(a)}


def test_a_hard_answer_scores_one_zero_or_a_half():
    side = scores({"answer": [UP, DOWN, NONE, "I do not know", None]})[DE].side
    assert (side.yes + side.rest / 2).tolist() == [1, 1, 0, 0.5, 0.5]


def test_a_share_of_samples_scores_its_share_and_half_of_what_had_no_answer():
    columns = {"p_up": [0.4, 0.0], "p_down": [0.2, 0.0], "p_none": [0.2, 0.0], "score_kind": ["share"] * 2}
    side = scores(columns)[DE].side
    np.testing.assert_allclose(side.yes + side.rest / 2, [0.7, 0.5])


def test_tiny_probabilities_stay_apart():
    columns = {"p_up": [1e-20, 1e-18], "p_down": [0.0, 0.0], "p_none": [1.0, 1.0]}
    side = scores(columns)[DE].side
    assert 0 < (side.yes + side.rest / 2)[0] < (side.yes + side.rest / 2)[1]


def test_not_differentially_expressed_is_no_answer_about_a_direction():
    changed = MEASURED.filter(pa.array([label != NONE for label in MEASURED["label"].to_pylist()])).slice(0, 4)
    a = laid(predicted(changed, {"answer": [UP, DOWN, NONE, None]}, task=DIRECTION), measured=changed)
    [view] = views(a)
    assert view.answer.tolist() == [0, 1, 2, 2]
    assert (view.side.yes + view.side.rest / 2).tolist() == [1, 0, 0.5, 0.5]


def test_direction_is_asked_only_where_something_changed():
    a = laid(predicted(MEASURED, {"answer": guessed(MEASURED)}, task=DIRECTION))
    assert set(a.measured["label"].to_pylist()) == {UP, DOWN} and a.given.all()
    still = MEASURED.filter(pa.array([label == NONE for label in MEASURED["label"].to_pylist()]))
    with pytest.raises(BadInput, match="no example that changed"):
        laid(predicted(still, {"answer": guessed(still)}, task=DIRECTION))


def test_a_score_of_any_scale_ranks_and_names_no_class():
    found = scores({"score": [-7.5, 0.0, 900.0]})
    assert list(found) == [DE] and found[DE].answer is None
    assert found[DE].side.yes.tolist() == [-7.5, 0, 900] and not found[DE].probable
    a = laid(predicted(MEASURED.slice(0, 3), {"score": [1.0, None, 2.0]}))
    assert a.given.sum() == 2  # no score has no middle to stand at, so it is missing


# -- CSV


def csv(text):
    Path("p.csv").write_text(text)
    return csvs.read("p.csv", MEASURED)


def test_a_csv_of_pairs_is_read_and_its_unknown_lines_are_told():
    found = csv("cell_line,pert,gene,label\nK562,P0,G0,upregulated\nK562,P0,GX,upregulated\nRPE1,P1,G1,\n")
    assert found.unknown == [3] and "1 lines" in csvs.told(found.unknown, "p.csv")
    table = predictions.whole(found.table, "p.csv", first=2)
    assert table["answer"].to_pylist() == [UP, None]
    assert table["example_id"][0] == MEASURED["example_id"][0]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("pert,gene,label\nP0,G0,upregulated\n", "found the columns pert, gene, label"),
        ("cell_line,pert,gene,score\nK562,P0,G0,0.1\nK562,P0,G1,high\n", "line 3, column score: found 'high'"),
        ("cell_line,pert,gene,score\nK562,P0,G0,0.1\nK562,,G1,1\n", "line 3, column pert: found nothing"),
        ("cell_line,pert,gene,score\nK562,P0,G0\n", "no CSV"),
        ("cell_line,pert,gene,score\nk562,P0,G0,1\n", "no known pair, k562 P0 G0 for one"),
    ],
)
def test_a_csv_that_cannot_be_scored_is_refused_in_one_line(text, line):
    with pytest.raises(BadInput) as e:
        csv(text)
    assert line in str(e.value) and "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("cell", "line"),
    [("nan", "line 2, column score: found nan"), ("-inf", "line 2, column score: found -inf")],
)
def test_numbers_of_a_csv_are_checked_as_those_of_parquet(cell, line):
    found = csv(f"cell_line,pert,gene,score\nK562,P0,G0,{cell}\n")
    with pytest.raises(BadInput, match=line):
        predictions.whole(found.table, "p.csv", first=2)
    with pytest.raises(BadInput, match="line 2, column answer: found 'up'"):
        predictions.whole(csv("cell_line,pert,gene,label\nK562,P0,G0,up\n").table, "p.csv", first=2)


def test_the_arrays_have_the_columns_that_their_table_has():
    assert tuple(MEASURED.column_names) == answered.MEASURED
