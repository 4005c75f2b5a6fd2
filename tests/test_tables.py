"""Tables: the published figures as they are printed, and our rows beside them."""

import pytest
from kit.scored import MEASURED, guessed, hard, laid, value

from curation.printing import markdown, table
from eval import scoring, tables
from eval.words import DE


def test_published_figures_are_where_the_paper_prints_them():
    rows = tables.tables([])
    assert {r["kind"] for r in rows} == {"published"} and all(r["note"] and 0 <= r["value"] <= 1 for r in rows)

    def of(number, model, source="SynthPert"):
        return [r["value"] for r in rows if (r["table"], r["model"]) == (number, model) and source in r["source"]]

    assert of(1, "SynthPert") == [0.70, 0.78, 0.74, 0.79] and of(2, "SUMMER") == [0.62, 0.64, 0.65, 0.66]
    assert of(3, "SynthPert") == [0.92, 0.97, 0.95, 0.49, 0.14, 0.22, 0.52, 0.53, 0.53, 0.89]
    assert of(4, "o4-mini")[-1] == 0.52 and of(1, "SUMMER", "authors") == [0.62, 0.59, 0.62, 0.59]
    gaps = [abs(x - y) for n in (1, 2) for m in ("GAT", "GEARS", "GenePT-Gene", "GenePT-Prot", "SUMMER")
            for x, y in zip(of(n, m), of(n, m, "authors"), strict=True)]  # fmt: skip
    assert max(gaps) == pytest.approx(0.04) and "up to 0.04" in tables.published()["notes"]["taken"]


def test_f1_of_the_published_tables_fits_their_precision_and_recall():
    held = tables.published()
    for one in held["tables"][2:]:
        for figures in one["synthpert"].values():
            for p, r, f in zip(figures[0:9:3], figures[1:9:3], figures[2:9:3], strict=True):
                assert f == pytest.approx(2 * p * r / (p + r), abs=0.02)


def test_our_rows_stand_beside_the_published_ones_with_metric_and_interval():
    scored = hard()
    rows = tables.tables(
        [*scored, *scoring.score([laid({"answer": guessed(MEASURED)}, split="rpe1_holdout")], rounds=100)]
    )
    ours = [r for r in rows if r["source"] == tables.OURS]
    assert {r["table"] for r in ours} == {1, 3, 4}  # no direction was predicted
    assert {r["metric"] for r in ours if r["table"] == 1} == {"auroc_per_gene", "auroc_pooled"}
    assert {r["metric"] for r in rows if r["table"] == 1 and "SynthPert" in r["source"]} == {"auroc"}
    [row] = [r for r in ours if (r["table"], r["metric"], r["cell_line"]) == (1, "auroc_per_gene", "K562")]
    assert row["value"] == value(scored, "auroc_per_gene", task=DE, cell_line="K562") and row["low"] < row["high"]
    text = tables.text(rows, [], table)
    assert "metric uncertain" in text and text.count("Table ") == 4
    assert "| SynthPert | SynthPert, Tables 1 to 4 [2] | auroc |" in tables.text(rows, [], markdown)
