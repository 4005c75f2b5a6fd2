"""Several samples and several critics stand side by side: votes over the samples, agreement between the critics."""

import pyarrow as pa
import pytest

from curation.schema import LABELS, TABLES, now
from curation.selection import Selection, select

UP, DOWN, NONE = LABELS
IDK = "I do not know"


def write(store, example_id, answers, **more):
    """Write traces of one example, a sample an answer; None could not be read."""
    own = {"example_id": example_id, "approach": "blind", "generator": "m", "provider": "p", "prompt_hash": "h", **more}
    rows = [
        {
            **dict.fromkeys(TABLES["traces"].schema.names),
            **own,
            **dict.fromkeys(("trace_id", "request_id", "response_id"), f"{example_id}-{own['generator']}-{n}"),
            **{"answer": answer, "valid": answer is not None, "sample": n, "run_id": "r", "created": now()},
        }
        for n, answer in enumerate(answers)
    ]
    store.append("traces", pa.Table.from_pylist(rows, TABLES["traces"].schema))


CASES = {
    "most": ([UP, UP, DOWN, NONE], UP, 0.5),
    "all": ([NONE, NONE, NONE], NONE, 1.0),
    "one": ([DOWN], DOWN, 1.0),
    "tie": ([UP, DOWN, UP, DOWN], None, None),
    "tie of three": ([UP, DOWN, NONE], None, None),
    "abstained": ([IDK, IDK, DOWN], DOWN, 1 / 3),
    "unreadable": ([None, DOWN, DOWN, None], DOWN, 0.5),
    "nothing said": ([None, IDK], None, None),
}


@pytest.mark.parametrize("case", CASES)
def test_the_vote_is_the_label_of_most_samples(store, case):
    answers, most, share = CASES[case]
    one, other = select(store, Selection(limit=2))["example_id"].to_pylist()
    write(store, one, answers)
    write(store, one, [UP], generator="another")
    write(store, other, [NONE])
    (vote,) = store.rows("FROM votes WHERE example_id = $id AND generator = 'm'", {"id": one})
    assert (vote["answer"], vote["share"]) == (most, pytest.approx(share) if share else None)
    said = [answers.count(a) for a in (UP, DOWN, NONE, IDK, None)]
    counted = ("upregulated", "downregulated", "no_change", "abstained", "unreadable")
    assert [vote[k] for k in counted] == said and vote["samples"] == len(answers)
    assert store.rows("SELECT count(*) AS n FROM votes") == [{"n": 3}]


def test_samples_and_critics_stand_side_by_side(store, model, ask_json):
    asked = ask_json("generate", "--approach", "blind", "--samples", "5", "--limit", "40", "--model", "m")
    assert asked["answered"] == 200
    for critic in ("first", "second"):
        assert ask_json("grade", "--model", critic)["cached"] == 0
    assert ask_json("grade", "--model", "first")["answered"] == 0, "each critic has its own answers"
    votes = ask_json("sql", "FROM votes")
    assert len(votes) == 40 and {v["samples"] for v in votes} == {5}
    right = [v for v in votes if v["answer"] == v["label"]]
    assert len(right) > 10 and all(v["share"] > 0.2 for v in right)
    assert all(v["share"] is None for v in votes if v["answer"] is None)
    (pair,) = ask_json("critics")["pairs"]
    both = ask_json("sql", "SELECT count(*) AS n FROM traces WHERE len(grades) = 2")[0]["n"]
    assert both == ask_json("sql", "SELECT count(*) AS n FROM traces WHERE valid")[0]["n"]
    assert 0 < pair["traces"] <= both and 0 <= pair["same"] <= 1


def test_a_recipe_takes_the_label_of_most(store, model, ask_json, tmp_path):
    from pathlib import Path

    page = Path(__file__).parent.parent / "docs" / "making-traces.md"
    text = page.read_text().split("```sql\n-- Right, and the label of most samples")[1].split("```")[0]
    (tmp_path / "voted.sql").write_text("-- Right, and the label of most samples" + text)
    ask_json("generate", "--approach", "blind", "--samples", "3", "--per-label", "40", "--model", "m")
    ask_json("build", "voted.sql", "--name", "voted", "--out", "voted-1.0.0")
    chosen = ask_json("sql", "FROM traces SEMI JOIN members USING (trace_id)")
    by_example = {v["example_id"]: v for v in ask_json("sql", "FROM votes WHERE approach = 'blind'")}
    assert len(chosen) > 10
    for trace in chosen:
        vote = by_example[trace["example_id"]]
        assert vote["answer"] == trace["answer"] == trace["label"] and vote["share"] >= 0.6
