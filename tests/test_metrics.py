"""Metrics: each is what scikit-learn says, and the AUROC per gene what the benchmark's own definition says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs

from curation.errors import BadInput
from eval import metrics as ours
from eval.ranking import aurocs, ranked
from eval.resampling import Resamples

IDK = "I do not know"


def official(genes, truth, scores):
    """The benchmark's metric: an AUROC a gene, those with one class skipped, and their plain mean."""
    genes, truth, scores = (np.asarray(x) for x in (genes, truth, scores))
    own = [(truth[genes == g], scores[genes == g]) for g in np.unique(genes)]
    values = [theirs.roc_auc_score(y, s) for y, s in own if len(set(y.tolist())) == 2]
    return np.mean(values) if values else np.nan


def assert_same(a, b):
    assert (np.isnan(a) and np.isnan(b)) or abs(a - b) <= 1e-12


def cases(rng):
    n = int(rng.integers(1, 60))
    genes = rng.integers(0, int(rng.integers(1, 8)), n).astype(str)
    scores = [rng.normal(size=n), rng.integers(0, 3, n) / 2, rng.random(n) ** 9, 1e9 * rng.normal(size=n).round(1)]
    return genes, (rng.random(n) < rng.random()).astype(int), scores[int(rng.integers(0, 4))]


def test_auroc_per_gene_is_the_official_one_on_a_thousand_random_inputs():
    rng = np.random.default_rng(0)
    for _ in range(1000):
        genes, truth, scores = cases(rng)
        assert_same(ours.auroc_per_gene(genes, truth, scores), official(genes, truth, scores))


rows = st.tuples(st.integers(0, 4), st.booleans(), st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(-1e6, 1e6)))


@given(st.lists(rows, min_size=1, max_size=60))
@settings(max_examples=200, deadline=None)
def test_auroc_per_gene_is_the_official_one_with_ties_and_genes_of_one_class(cases):
    genes, truth, scores = map(list, zip(*cases, strict=True))
    assert_same(ours.auroc_per_gene(genes, truth, scores), official(genes, np.array(truth, int), scores))


def test_auroc_per_gene_of_real_test_rows(real):
    rng = np.random.default_rng(0)
    for line in ("K562", "RPE1"):
        own = [r for r in real if r[0] == line]
        genes, truth = [r[2] for r in own], [int(r[3]) for r in own]
        for scores in (rng.random(len(own)), rng.integers(0, 2, len(own))):
            assert_same(ours.auroc_per_gene(genes, truth, scores), official(genes, truth, scores))


@pytest.fixture(scope="module")
def real(perturbqa):
    import csv

    found = []
    for line in ("K562", "RPE1"):
        with open(perturbqa / f"{line.lower()}-de.csv") as f:
            rows = [r for r in csv.DictReader(f) if r["split"] == "test"]
        found += [(line, r["pert"], r["gene"], r["label"]) for r in rows[:6000]]
    return found


def test_genes_with_one_class_are_left_out_and_counted():
    genes, truth, scores = ["a", "a", "b", "b", "c"], [1, 0, 1, 1, 0], [0.9, 0.1, 0, 0, 0]
    assert ours.auroc_per_gene(genes, truth, scores) == 1
    assert ours.genes_scored(genes, truth) == (1, 2)
    assert np.isnan(ours.auroc_per_gene(["a", "a"], [1, 1], [0, 1]))


def test_what_is_constant_within_each_gene_gets_a_half_per_gene_and_more_when_pooled():
    genes = np.repeat([f"g{n}" for n in range(20)], 10)
    rate = np.repeat(np.linspace(0.1, 0.9, 20), 10)
    truth = np.tile(np.arange(10), 20) / 10 < rate
    assert ours.auroc_per_gene(genes, truth, rate) == 0.5
    assert ours.auroc_pooled(truth, rate) > 0.7


def test_pooled_auroc_and_calibration_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    for _ in range(200):
        _, truth, scores = cases(rng)
        if len(set(truth)) == 2:
            assert_same(ours.auroc_pooled(truth, scores), theirs.roc_auc_score(truth, scores))
            precision, recall, _ = theirs.precision_recall_curve(truth, scores)
            mine = ours.precision_recall(truth, scores)
            np.testing.assert_allclose(mine[0], precision[:-1][::-1], atol=1e-12)
            np.testing.assert_allclose(mine[1], recall[:-1][::-1], atol=1e-12)
    from sklearn.calibration import calibration_curve

    truth, p = rng.integers(0, 2, 500), np.round(rng.random(500), 2)
    found, said = calibration_curve(truth, p, n_bins=10)
    mine = ours.calibration(truth, p)
    np.testing.assert_allclose([mine.found, mine.said], [found, said], atol=1e-12)
    assert mine.n.sum() == 500
    assert_same(mine.error, np.average(np.abs(found - said), weights=mine.n))
    assert_same(ours.brier(truth, p), theirs.brier_score_loss(truth, p))


CLASSES = ("a", "b", "c")


@pytest.mark.filterwarnings("ignore:A single label")
@pytest.mark.parametrize("gaps", [False, True])
def test_metrics_of_classes_are_those_of_scikit_learn(gaps):
    rng = np.random.default_rng(2)
    said = np.array([*CLASSES, IDK] if gaps else CLASSES)
    for _ in range(60):
        n = int(rng.integers(1, 80))
        y, a = np.array(CLASSES)[rng.integers(0, int(rng.integers(1, 4)), n)], said[rng.integers(0, len(said), n)]
        counts = ours.confusion(y, a, CLASSES)
        labels = list(CLASSES)
        np.testing.assert_array_equal(counts[:, :3], theirs.confusion_matrix(y, a, labels=[*labels, IDK])[:3, :3])
        assert_same(ours.accuracy(counts), theirs.accuracy_score(y, a))
        told = {"labels": labels, "average": None, "zero_division": np.nan}
        np.testing.assert_allclose(ours.precision(counts), theirs.precision_score(y, a, **told), atol=1e-12)
        np.testing.assert_allclose(ours.recall(counts), theirs.recall_score(y, a, **told), atol=1e-12)
        np.testing.assert_allclose(ours.f1(counts), theirs.f1_score(y, a, **told), atol=1e-12)
        assert_same(ours.macro_f1(counts), theirs.f1_score(y, a, labels=labels, average="macro", zero_division=np.nan))
        present = sorted(set(y))
        assert_same(ours.balanced_accuracy(counts), theirs.recall_score(y, a, labels=present, average="macro"))
        assert_same(ours.mcc(counts), theirs.matthews_corrcoef(y, a))


def test_hard_answers_have_a_pooled_auroc_that_is_balanced_accuracy():
    rng = np.random.default_rng(3)
    truth, said = rng.integers(0, 2, 400), rng.integers(0, 2, 400)
    assert_same(ours.auroc_pooled(truth, said), theirs.balanced_accuracy_score(truth, said))


@pytest.mark.parametrize(
    ("genes", "truth", "scores", "why"),
    [
        (["a"], [1, 0], [0.1, 0.2], "one length"),
        (["a", "a"], [2, 0], [0.1, 0.2], "only 0 and 1"),
        (["a", "a"], [1, 0], [np.nan, 0.2], "not finite"),
        (["a", "a"], [1, 0], [np.inf, 0.2], "not finite"),
    ],
)
def test_arrays_that_say_nothing_are_refused(genes, truth, scores, why):
    with pytest.raises(BadInput, match=why):
        ours.auroc_per_gene(genes, truth, scores)


# -- resamples


def test_a_weighting_is_the_metric_of_repeated_cases():
    rng = np.random.default_rng(4)
    n, clusters = 300, rng.integers(0, 8, 300)
    genes, truth, scores = rng.integers(0, 20, n), rng.random(n) < 0.3, rng.integers(0, 9, n) / 9
    r = ranked(genes, truth, scores, clusters)
    for weights in rng.integers(0, 4, (20, 8)):
        again = np.repeat(np.arange(n), weights[clusters])
        found = aurocs(r, weights[r.clusters][None].astype(float))[0]
        assert_same(np.nanmean(found), official(genes[again], truth[again].astype(int), scores[again]))


def test_the_same_seed_draws_the_same_and_the_interval_is_of_perturbations_not_of_rows():
    rng = np.random.default_rng(5)
    perts = np.repeat([f"p{n}" for n in range(12)], 50)
    truth = np.repeat(rng.random(12) < 0.5, 50)  # all cases of a perturbation alike: 12 observations, not 600
    scores = truth + rng.normal(size=600)

    def interval(perts, seed=0):
        drawn = Resamples(perts, 500, seed)
        r = ranked(np.zeros(600, int), truth, scores, drawn.clusters)
        return drawn.of_ranking(r, lambda r, w: aurocs(r, w)[:, 0]).interval()

    assert interval(perts) == interval(perts) != interval(perts, seed=1)
    said = np.array([f"{perts[n]}-{n}" for n in range(600)])
    assert interval(perts).value == interval(said).value
    few = Resamples(perts[:150], 500)
    r = ranked(np.zeros(150, int), np.arange(150) % 2 == 0, scores[:150], few.clusters)
    assert "fewer than 4" in few.of_ranking(r, lambda r, w: aurocs(r, w)[:, 0]).interval().why
