"""Baselines: rules worked out by hand, planted signal found and no other, bad files refused, the real figures."""

import gzip
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kit.known import SIGNS, table
from kit.once import copied
from sklearn.metrics import roc_auc_score

from curation.errors import BadInput
from curation.published import open_dataset
from curation.schema import LABELS
from curation.store import Store
from curation.versions import build
from eval import features, lookups, physical, predictions
from eval.baselines import Files, baselines
from eval.neighbours import vote
from eval.sides import sides
from eval.sql import query

TRAIN = table(
    "K562 A X +, K562 A Y 0, K562 B X +, K562 B Y 0, RPE1 C X 0, RPE1 D X -, RPE1 A Y -, HepG2 C X +, HepG2 E Z 0"
)
TEST = table("K562 C X +, K562 D Y 0, RPE1 E X 0, RPE1 E Q 0")
ALL = np.array([3, 2, 4]) / 9  # the shares of the labels in TRAIN


def drawn_to(found, prior):
    return [(f + p) / (sum(found) + 1) for f, p in zip(found, prior, strict=True)]


def test_each_look_up_counts_what_it_says_and_falls_back_where_nothing_matches():
    gene = lookups.gene_in_line(TRAIN, TEST)
    assert gene == pytest.approx(np.array([drawn_to(n, ALL) for n in ([2, 0, 0], [0, 0, 2], [0, 1, 1], [0, 0, 0])]))
    others = lookups.gene_other_lines(TRAIN, TEST)
    assert others == pytest.approx(np.array([drawn_to(n, ALL) for n in ([1, 1, 1], [0, 1, 0], [3, 0, 0], [0, 0, 0])]))
    perts = lookups.pert_other_lines(TRAIN, TEST)
    assert perts == pytest.approx(np.array([drawn_to(n, ALL) for n in ([1, 0, 1], [0, 1, 0], [0, 0, 1], [0, 0, 1])]))
    pairs = lookups.pair_other_lines(TRAIN, TEST)
    assert pairs[0] == pytest.approx([0.5, 0, 0.5]) and np.isnan(pairs[1:]).all()
    rates = [drawn_to([2, 0, 0], others[0]), drawn_to([0, 0, 2], others[1])]
    assert lookups.gene_rates(TRAIN, TEST)[:2] == pytest.approx(np.array(rates))
    assert lookups.pair_else_gene(TRAIN, TEST)[:2] == pytest.approx(np.array([drawn_to([1, 0, 1], rates[0]), rates[1]]))
    assert lookups.majority(TRAIN, TEST) == pytest.approx(np.tile(ALL, (4, 1)))


def by_name(found):
    return {t["model"][0].as_py().removeprefix("baseline: "): t for t in found}


def test_predictions_say_the_likeliest_label_of_ties_the_most_common_and_none_where_nothing_is_known():
    told = []
    found = by_name(baselines(TRAIN, TEST, facts={"dataset": "d@1.0.0", "split": "default"}, tell=told.append))
    lookups = "majority gene-in-line gene-other-lines pert-other-lines pair-other-lines pair-else-gene"
    assert set(found) == {*lookups.split(), "random", "neighbours"}
    assert [line.split(":")[0] for line in told] == ["features", "physical"]
    pair = found["pair-other-lines"]
    assert pair["answer"].to_pylist() == [LABELS[2], None, None, None]  # a tie of + and 0
    assert pair["reason"].to_pylist() == [None, *["not_in_train"] * 3] and pair["p_up"].to_pylist()[1:] == [None] * 3
    assert found["gene-in-line"]["answer"].to_pylist() == [LABELS[0], LABELS[2], LABELS[2], LABELS[2]]
    assert set(found["random"]["score_kind"].to_pylist()) == {"hard"}
    for own in found.values():
        predictions.write(own, "one.parquet")  # which refuses what is no prediction
        assert predictions.read("one.parquet").equals(own)


def test_direction_is_asked_of_what_changes_and_every_rule_but_the_copy_has_one():
    found = by_name(baselines(TRAIN, TEST, task="direction"))
    for name, own in found.items():
        assert own["example_id"].to_pylist() == TEST["example_id"].to_pylist()[:1], "one example changes"
        up, down, none = (own[c][0].as_py() for c in ("p_up", "p_down", "p_none"))
        assert (up + down, none) == pytest.approx((1, 0)), name
        assert own["answer"][0].as_py() in LABELS[:2]
    assert found["pair-else-gene"]["answer"][0].as_py() == LABELS[0]


def test_what_can_say_nothing_is_left_out_with_the_reason():
    told = []
    train, test = table("K562 A X +, K562 B Y 0"), table("RPE1 A X +")
    assert "gene-in-line" not in by_name(baselines(train, test, tell=told.append))
    assert "gene-in-line: left out, no train row is of RPE1" in told
    told.clear()
    assert not {"pair-other-lines", "gene-other-lines"} & set(
        by_name(baselines(train, table("K562 C X +"), tell=told.append))
    )
    assert "pair-other-lines: left out, there is one cell line" in told


def test_the_random_label_is_an_examples_own_and_as_frequent_as_in_train():
    many = pa.table({"example_id": [f"{n}" for n in range(4_000)]})
    found = lookups.random(TRAIN, many, 0)
    assert found.round().mean(axis=0) == pytest.approx(ALL, abs=0.03)
    assert lookups.random(TRAIN, many.slice(100, 5), 0) == pytest.approx(found[100:105])
    assert not np.array_equal(lookups.random(TRAIN, many, 1), found)


def planted(shuffled=False, seed=0):
    """Two groups of perturbations move two groups of genes, in each line; of a test perturbation another line tells."""
    rng = np.random.default_rng(seed)
    rows = []
    for line in ("K562", "RPE1"):
        for p in range(40):
            for g in rng.choice(40, 20, replace=False):
                sign = "+-"[g // 2 % 2] if p % 2 == g % 2 else "0"
                rows.append((line, f"P{p}", f"G{g}", rng.choice(list("+-0")) if shuffled else sign))
    test = [r for r in rows if r[0] == "RPE1" and r[1] in ("P0", "P1", "P2", "P3", "P4", "P5")]
    return tuple(table(",".join(map(" ".join, some))) for some in ([r for r in rows if r not in test], test))


def test_neighbours_find_planted_co_response_and_nothing_where_there_is_none():
    train, test = planted()
    truth = np.array([label != SIGNS["0"] for label in test["label"].to_pylist()])
    gene, found = lookups.gene_rates(train, test), vote(train, test)
    assert roc_auc_score(truth, gene[:, :2].sum(axis=1)) < 0.7 < 0.97 < roc_auc_score(truth, found[:, :2].sum(axis=1))
    up = np.array([label == SIGNS["+"] for label in test["label"].to_pylist()])[truth]
    assert roc_auc_score(up, found[truth, 0] - found[truth, 1]) > 0.97
    train, test = planted(shuffled=True)
    truth = np.array([label != SIGNS["0"] for label in test["label"].to_pylist()])
    assert 0.35 < roc_auc_score(truth, vote(train, test)[:, :2].sum(axis=1)) < 0.65
    assert vote(train, test).sum(axis=1) == pytest.approx(1) and (vote(train, test) >= 0).all()


def vectors(width=4):
    """What the planted groups follow from: of each gene its parity and its pair's."""
    names = [f"{kind}{n}" for kind in "PG" for n in range(40)]
    numbers = np.array([int(name[1:]) for name in names])
    noise = np.random.default_rng(0).normal(size=(80, width))
    noise[:, 0], noise[:, 1] = numbers % 2, numbers // 2 % 2
    return names, noise.astype(np.float32)


def test_the_regression_learns_from_the_users_vectors_the_same_from_either_file():
    train, test = planted()
    names, values = vectors()
    np.savez("v.npz", genes=np.array(names), features=values)
    pq.write_table(pa.table({"gene": names, "features": list(values)}), "lists.parquet")
    pq.write_table(pa.table({"gene": names} | {f"f{i}": values[:, i] for i in range(4)}), "columns.parquet")
    first, *others = (
        features.regression(train, test, features.read(Path(f))) for f in ("v.npz", "lists.parquet", "columns.parquet")
    )
    truth = np.array([label != SIGNS["0"] for label in test["label"].to_pylist()])
    assert roc_auc_score(truth, first[:, :2].sum(axis=1)) > 0.95
    assert all(np.allclose(first, other, atol=1e-5) for other in others)
    np.savez(
        "wide.npz", genes=np.array(names), features=np.hstack([values, np.random.default_rng(1).normal(size=(80, 60))])
    )
    assert features.regression(train, test, features.read(Path("wide.npz"))).shape == first.shape


def test_genes_without_a_vector_are_counted():
    train, test = planted()
    names, values = vectors()
    np.savez("v.npz", genes=np.array(names[1:]), features=values[1:])
    told = []
    baselines(train, test, files=Files(Path("v.npz")), tell=told.append)
    n = test["pert"].to_pylist().count("P0")
    assert told[0] == f"features: 1 genes of {n} test rows have no vector and get the mean one"
    np.savez("v.npz", genes=np.array(["TP53"]), features=values[:1])
    with pytest.raises(BadInput, match="none of the genes, such as G0: they are of TP53"):
        baselines(train, test, files=Files(Path("v.npz")))


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("gone.npz", lambda f: None, "no such file"),
        ("pickle.npz", lambda f: np.savez(f, genes=np.array(["A", None], object), features=np.eye(2)), "Object arrays"),
        ("half.npz", lambda f: np.savez(f, genes=np.array(["A"])), "no array features"),
        ("text.npz", lambda f: f.write_text("no zip"), "pickled|not a zip"),
        ("twice.npz", lambda f: np.savez(f, genes=np.array(["A", "A"]), features=np.eye(2)), "A twice"),
        ("nan.npz", lambda f: np.savez(f, genes=np.array(["A", "B"]), features=np.array([[1], [np.nan]])), "line 2"),
        ("short.npz", lambda f: np.savez(f, genes=np.array(["A", "B"]), features=np.eye(3)), r"2 genes .* \(3, 3\)"),
        ("csv.parquet", lambda f: f.write_text("gene,x"), "no Parquet"),
        ("named.parquet", lambda f: pq.write_table(pa.table({"symbol": ["A"], "x": [1]}), f), "the columns symbol, x"),
        ("words.parquet", lambda f: pq.write_table(pa.table({"gene": ["A"], "x": ["one"]}), f), "one"),
    ],
)  # fmt: skip
def test_a_file_of_features_that_is_none_is_refused_in_one_line(name, make, said):
    make(Path(name))
    with pytest.raises(BadInput, match=said) as e:
        features.read(Path(name))
    assert str(e.value).startswith(name) and "\n" not in str(e.value)


LINKS = "protein1 protein2 combined_score\n9606.P1 9606.P2 900\n9606.P3 9606.P1 150\n9606.P9 9606.P1 700\n"
INFO = """#string_protein_id\tpreferred_name\tprotein_size\tannotation
9606.P1\tA\t10\tan "odd" one
9606.P2\tX\t5\t
9606.P3\tY\t7\t
"""


@pytest.mark.parametrize("pack", [False, True])
def test_physical_reads_strings_own_files(pack):
    for name, text in (("links.txt", LINKS), ("info.txt", INFO)):
        Path(name + ".gz" * pack).write_bytes(gzip.compress(text.encode()) if pack else text.encode())
    network = physical.Network(Path("links.txt" + ".gz" * pack), Path("info.txt" + ".gz" * pack))
    test = table("K562 A X +, K562 X A 0, K562 A Y 0, K562 A Q 0, K562 X Y 0")
    assert physical.scores(network, test) == pytest.approx([0.9, 0.9, 0.15, 0, 0])
    found = by_name(baselines(TRAIN, test, files=Files(None, network)))["physical"]
    assert found["answer"].to_pylist() == [LABELS[0], LABELS[0], LABELS[2], LABELS[2], LABELS[2]]
    up, down = (np.array(found[c].to_pylist()) for c in ("p_up", "p_down"))
    assert up + down == pytest.approx([0.9, 0.9, 0.15, 0, 0]) and (up[0], down[0]) == pytest.approx((0.54, 0.36))


@pytest.mark.parametrize(
    ("links", "info", "said"),
    [
        (None, INFO, "links.txt: found no such file"),
        (LINKS.replace("combined_score", "score"), INFO, "links.txt: found .*combined_score"),
        (LINKS, INFO.replace("preferred_name", "name"), "info.txt: found .*preferred_name"),
        (LINKS, INFO.replace("9606.", "10090."), "info.txt: found no protein of links.txt"),
        (LINKS + "9606.P1 9606.P3\n", INFO, "links.txt: found .*3 columns, got 2"),
    ],
)
def test_files_that_are_not_strings_are_refused(links, info, said):
    for name, text in (("links.txt", links), ("info.txt", info)):
        if text:
            Path(name).write_text(text)
    with pytest.raises(BadInput, match=said):
        physical.scores(physical.Network(Path("links.txt"), Path("info.txt")), TEST)


def test_a_real_network_in_strings_form_is_found_pair_by_pair():
    if not os.environ.get("NETWORKS_DIR"):
        pytest.skip("NETWORKS_DIR is not set: no gene networks on this machine")
    with gzip.open(Path(os.environ["NETWORKS_DIR"]) / "string_v11.5_functional_ge0.7_symbols.tsv.gz", "rt") as f:
        rows = [line.split() for line in f]
    pairs = {(a, b): round(float(score) * 1000) for a, b, score in rows if score.replace(".", "").isdigit()}
    genes = sorted({gene for pair in pairs for gene in pair})
    number = {gene: f"9606.ENSP{n:011}" for n, gene in enumerate(genes)}
    links = ["protein1 protein2 combined_score", *(f"{number[a]} {number[b]} {s}" for (a, b), s in pairs.items())]
    info = [
        "#string_protein_id\tpreferred_name\tprotein_size\tannotation",
        *(f"{i}\t{g}\t1\tx" for g, i in number.items()),
    ]
    Path("links.txt.gz").write_bytes(gzip.compress("\n".join(links).encode()))
    Path("info.txt").write_text("\n".join(info))
    some = [*list(pairs)[:3_000:7], *zip(genes[:500], genes[500:1000], strict=True)]
    test = pa.table({"pert": [a for a, _ in some], "gene": [b for _, b in some]})
    expected = [max(pairs.get((a, b), 0), pairs.get((b, a), 0)) / 1000 for a, b in some]
    assert len(pairs) > 80_000 and sum(map(bool, expected)) > 400
    assert physical.scores(physical.Network(Path("links.txt.gz"), Path("info.txt")), test) == pytest.approx(expected)


# -- a dataset


@pytest.fixture(scope="module")
def measured(direct, tmp_path_factory):
    """A store of the made-up benchmark, and two datasets: all train examples, and a few of them."""
    folder = copied(direct, tmp_path_factory.mktemp("measured"))
    store = Store(folder / "store")
    some = folder / "some.sql"
    some.write_text("SELECT example_id FROM splits WHERE split = $split AND side = 'train' AND example_id < '4'")
    build(store, str(some), "some", out=folder / "some")
    return folder


def test_rules_look_up_all_of_the_stores_train_side_or_the_datasets_own_rows(measured, run):
    store, dataset = Store(measured / "store"), open_dataset(str(measured / "some"))
    own, whole = sides(dataset, "default"), sides(dataset, "default", store)
    assert own.test.equals(whole.test) and (own.source, whole.source) == ("dataset", "store")
    assert set(own.train["example_id"].to_pylist()) < set(whole.train["example_id"].to_pylist())
    assert whole.train.equals(sides(open_dataset(str(measured / "all")), "default").train)
    Store("other", create=True)
    done = run("--store", "other", "baselines", measured / "some")
    assert done.returncode == 1 and "name the store that it was built from" in done.stderr


def test_the_command_scores_every_baseline_of_every_split_and_task(measured, run):
    done = run(
        "--json", "--store", measured / "store", "baselines", measured / "some", "--rounds", "20", "--out", "b.parquet"
    )
    rows = json.loads(done.stdout)
    assert {(r["split"], r["task"]) for r in rows} == {
        (split, task)
        for split in open_dataset(str(measured / "some")).splits
        for task in ("three-class", "differential expression", "direction")
    }
    assert {r["kind"] for r in rows} == {"baseline"} and {"all", "resistant"} <= {r["rows"] for r in rows}
    wanted = {"model": "baseline: majority", "split": "default", "task": "three-class"}
    told = [r for r in rows if wanted.items() <= r.items() and r["cell_line"] == "all" and r["rows"] == "all"]
    accuracy = next(r["value"] for r in told if r["metric"] == "accuracy")
    own = [r for r in pq.read_table("b.parquet").to_pylist() if wanted.items() <= r.items()]
    assert accuracy == pytest.approx(np.mean([r["answer"] == r["label"] for r in own])) and len(own) == 648
    assert "2,808 train examples of the store" in done.stderr


def test_the_command_prints_a_table_a_task(measured, run):
    text = run("baselines", measured / "some", "--split", "default", "--rounds", "20")
    assert "default: direction" in text.stdout and "auroc_per_gene" in text.stdout
    assert "the dataset's own train rows alone" in text.stderr
    assert run("baselines", measured / "some", "--string-links", "x").stderr.startswith("synthpert: --string-links and")


# -- the real benchmark


@pytest.fixture(scope="module")
def real(real_store):
    """Train and test of both splits of the real benchmark."""
    store = Store(real_store)
    return {
        split: tuple(store.sql(query("side"), {"split": split, "side": side}) for side in ("train", "test"))
        for split in ("default", "rpe1_holdout")
    }


def test_the_figures_of_the_page_are_those_of_the_real_benchmark(real):
    told = (Path(__file__).parent.parent / "docs" / "baselines.md").read_text()
    for split, name in (("default", "gene_rates"), ("rpe1_holdout", "gene_rates"), ("default", "majority")):
        train, test = real[split]
        truth = lookups.one_hot(test["label"]).argmax(axis=1)
        accuracy = (getattr(lookups, name)(train, test).argmax(axis=1) == truth).mean()
        assert f"{accuracy:.3f}" in told, (split, name)


def test_every_command_of_the_page_runs(measured, run, model):
    shutil.copytree(measured / "store", "store")
    shutil.copytree(measured / "some", "perturb-traces-1.0.0")
    page = (Path(__file__).parent.parent / "docs" / "baselines.md").read_text()
    lines = [line for text in re.findall(r"^```\n(.*?)^```", page, re.S | re.M) for line in text.splitlines()]
    assert len(lines) == 7
    for line in lines:
        quick = ["--rounds", "20"] if " baselines " in line else []
        done = run(*line.split()[1:], *quick)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
