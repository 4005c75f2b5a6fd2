"""Audits: what is seen in train is counted by hand and on the real benchmark; traces and questions too."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
from kit.known import table

from curation.published import Published
from curation.schema import LABELS, MESSAGES
from curation.store import Store
from eval.audit import audit, audited, subsets, traces_naming
from eval.sides import Sides
from eval.sql import query

TRAIN = table("K562 A X +, K562 B Y 0, K562 B-1 Z 0, RPE1 C X 0, RPE1 A Y -, RPE1 X E -")
TEST = table("K562 C X +, RPE1 A X +, RPE1 D Y 0, K562 E X 0, K562 b1 Z 0")
REASONING = {
    "of its own pair": ("RPE1 C X 0", "<think>C does not bind X."),
    "of another pair": ("RPE1 A Y -", "A lowers D, which spares Y; so does CX."),
    "of none": ("K562 B Y 0", "B and XY do nothing."),
}


def question(row):
    return [{"role": "user", "content": f"What does {row['pert']} do to {row['gene']} in {row['cell_line']}?"}]


class Held(Published):
    """A dataset whose rows are at hand."""

    def table(self, split, side, columns=None):
        rows = {"train": TRAIN, "test": TEST, "validation": TRAIN.slice(0, 0)}[side]
        told = {table(pair)["example_id"][0].as_py(): text for pair, text in REASONING.values()}
        messages = pa.array([question(r) for r in rows.to_pylist()], MESSAGES)
        reasoning = pa.array([told.get(i) for i in rows["example_id"].to_pylist()], pa.string())
        return rows.append_column("messages", messages).append_column("reasoning", reasoning).select(columns)


HELD = Held("d", None, {"name": "d", "version": "1.0.0"})
SIDES = Sides("d@1.0.0", "default", TRAIN, TEST, "dataset")


def test_what_is_seen_is_counted_for_each_line_of_train():
    rows = {(r["test_line"], r["train_line"]): r for r in audit(HELD, SIDES).seen}
    assert set(rows) == {(a, b) for a in ("K562", "RPE1") for b in ("K562", "RPE1", "any other")} | {
        ("all", "any other")
    }

    def told(*where):
        return [rows[where][k] for k in ("test", "pert", "gene", "pair", "agrees")]

    assert told("K562", "K562") == [3, 0, 3, 0, None]
    assert told("K562", "RPE1") == told("K562", "any other") == [3, 1, 2, 1, 0.0]
    assert told("RPE1", "K562") == [2, 1, 2, 1, 1.0]
    assert told("all", "any other") == [5, 2, 4, 2, 0.5]


def test_the_parts_on_which_looking_up_gets_nowhere():
    ids = dict(zip(("CX", "AX", "DY", "EX", "bZ"), TEST["example_id"].to_pylist(), strict=True))
    found = subsets(TRAIN, TEST)
    assert set(found["clean"]) == {ids["DY"], ids["EX"], ids["bZ"]}
    # X goes up in K562 and Y down in RPE1, and no other line tells of these pairs; of A on X one does
    assert set(found["resistant"]) == {ids["EX"], ids["DY"]}
    sizes = {r["test_line"]: r for r in audit(HELD, SIDES).subsets}
    assert (sizes["all"]["clean"], sizes["all"]["clean_changed"], sizes["K562"]["clean"]) == (3, 0, 2)


def test_how_far_copying_gets_where_there_is_something_to_copy_and_over_all():
    rows = {(r["test_line"], r["rows"]): r for r in audit(HELD, SIDES).copying}
    seen = rows["all", "pair seen"]
    assert (seen["n"], seen["copy_right"], seen["majority_right"]) == (2, 0.5, 0.0)
    assert rows["all", "all"]["copy_right"] is None and rows["all", "all"]["majority_right"] == 0.6
    assert rows["RPE1", "pair seen"]["copy_right"] == 1.0


def test_questions_and_traces_that_name_a_test_pair():
    found = audit(HELD, SIDES)
    assert found.prompts == {
        "same_text": 0, "same_but_for_the_line": 2, "reversed_in_line": 0, "reversed": 1, "other_spelling": 1,
    }  # fmt: skip
    assert found.traces == {"traces": 3, "naming": 2, "own_pair": 1, "test_rows": 2}
    named = {
        TEST["pert"].to_pylist()[TEST["example_id"].to_pylist().index(i)]
        for i in traces_naming(HELD, SIDES)["example_ids"]
    }
    assert named == {"C", "D"}, "CX is no word C, and XY no X"


def test_the_command_writes_which_examples_are_clean_and_says_what_leaks(direct, run):
    done = run("--json", "audit", direct / "all", "--out", "subsets.parquet")
    found, rows = json.loads(done.stdout), pq.read_table("subsets.parquet")
    assert rows.column_names == ["example_id", "cell_line", "pert", "gene", "label", "split", "clean", "resistant"]
    for one in found:
        own = [r for r in rows.to_pylist() if r["split"] == one["split"]]
        sizes = one["subsets"][-1]
        assert (len(own), sizes["test_line"]) == (one["test"], "all")
        assert sizes["clean"] == sum(r["clean"] for r in own) and sizes["resistant"] == sum(r["resistant"] for r in own)
        assert sizes["resistant_changed"] == sum(r["resistant"] and r["label"] != LABELS[2] for r in own)
    text = run("--store", direct / "store", "audit", direct / "all", "--split", "default").stdout
    assert "2,808 train examples of the store" in text and "clean: the perturbation is in no line's train" in text
    assert "no_such" in run("audit", direct / "all", "--split", "no_such").stderr
    assert run("audit", direct / "all", "--out", "no/such/folder.parquet").returncode == 1


def test_the_real_benchmark_leaks_as_the_page_says(real_store):
    from pathlib import Path

    store = Store(real_store)
    told = (Path(__file__).parent.parent / "docs" / "baselines.md").read_text()
    train, test = (store.sql(query("side"), {"split": "default", "side": side}) for side in ("train", "test"))
    import duckdb

    with duckdb.connect() as con:
        con.register("train", train)
        con.register("test", test)
        seen = con.sql(query("seen")).to_arrow_table().to_pylist()
    rows = {(r["test_line"], r["train_line"]): r for r in seen}
    assert all(
        rows[line, line]["pert"] == rows[line, line]["pair"] == 0 for line in ("K562", "RPE1", "HepG2", "Jurkat")
    )
    whole = rows["all", "any other"]
    assert (whole["pert"], whole["pair"]) == (104_699, 4_717) and round(whole["agrees"], 3) == 0.938
    assert f"{whole['pert']:,}" in told and f"{whole['pair']:,}" in told
    parts = subsets(train, test)
    assert f"{len(parts['clean']):,}" in told and f"{len(parts['resistant']):,}" in told


def test_all_test_rows_of_unseen_pert_are_clean_and_none_is_copied(direct):
    from curation.published import open_dataset

    (found,) = audited(open_dataset(str(direct / "all")), "unseen_pert", None)
    assert found.subsets[-1]["clean"] == found.test == 684
    assert all(row["pert"] == row["pair"] == 0 for row in found.seen)
    assert found.prompts["same_but_for_the_line"] == 0 and found.copying[-2]["n"] == 0


def test_an_audit_of_one_split_is_the_same_as_of_all(direct):
    from curation.published import open_dataset

    dataset = open_dataset(str(direct / "all"))
    assert [a.split for a in audited(dataset, None, None)] == dataset.splits
    assert audited(dataset, "rpe1_holdout", None)[0] == audited(dataset, None, None)[1]
