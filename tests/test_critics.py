"""Critics: one that tells true from wrong outcomes is told from one that grades at random."""

import random
from itertools import product

import numpy as np
import pytest
from kit.once import copied
from sklearn.metrics import roc_auc_score

from curation.asking.requests import endpoint
from curation.asking.stage import How
from curation.critics import auroc_of_counts, critics, told_apart
from curation.grades import grade
from curation.rehearsal.judges import DESERVED, chances, share
from curation.rehearsal.server import serve
from curation.rehearsal.statements import read
from curation.rehearsal.world import the_world
from curation.selection import Selection
from curation.store import Store
from curation.traces import generate

FIGURES = {"good": (0.85, 0.1), "random": (0.2, 0.0)}
STEPS = [*reversed(DESERVED)]


@pytest.fixture(scope="module")
def judged(ingested, tmp_path_factory):
    """Explanations and controls, graded by a critic of accuracy 0.85 and by one that grades at random."""
    store = Store(copied(ingested, tmp_path_factory.mktemp("judged") / "store"))
    some = Selection(per_label=120)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "x")
        for critic, (accuracy, bias) in FIGURES.items():
            with serve(critic_accuracy=accuracy, critic_bias=bias) as server:
                patch.setenv("OPENAI_BASE_URL", server.base_url)
                for approach in ("explain", "control"):
                    generate(store, some, endpoint("m"), approach=approach, how=How(quiet=True))
                    grade(store, some, endpoint(critic), approach=approach, how=How(quiet=True))
    return store


def expected(store, accuracy, bias):
    """The AUROC that the planted critic has on just these traces, by the probability of each grade."""
    sides = {"explain": [], "control": []}
    sql = "FROM traces WHERE valid AND answer = outcome_shown AND (approach = 'control' OR answer = label)"
    for trace in store.rows(sql):
        said = [s for _, s in read(trace["reasoning"]) if s]
        p = chances(share(map(the_world().holds, said)), any(s.kind == "spares" for s in said), accuracy, bias)
        sides[trace["approach"]].append([p[g] for g in STEPS])
    true, wrong = (np.mean(sides[k], axis=0) for k in ("explain", "control"))
    return sum(true[i] * wrong[j] * (1 if i > j else 0.5 if i == j else 0) for i, j in product(range(5), range(5)))


def row(found, name, label="all"):
    return next(r for r in found["critics"] if f"/{name}@" in r["critic"] and r["label"] == label)


def test_a_critic_is_measured_as_planted_and_a_random_one_is_said_to_be(judged):
    found = critics(judged)
    for name, figures in FIGURES.items():
        own = row(found, name)
        assert own["true_outcome"] > 150 and own["wrong_outcome"] > 150
        assert own["low"] <= expected(judged, *figures) <= own["high"] and own["high"] - own["low"] < 0.2
    assert row(found, "good")["verdict"] == "grades true outcomes better" and row(found, "good")["low"] > 0.55
    assert row(found, "random")["verdict"].startswith("grades both alike")
    labels = [r["label"] for r in found["critics"]]
    assert labels[:4] == ["all", "upregulated", "downregulated", "not differentially expressed"]


def test_agreement_is_what_the_report_counts(judged):
    from curation.selection import query

    (pair,), (other,) = critics(judged)["pairs"], judged.rows(query("agreement"))
    assert pair["traces"] == other["traces"] and pair["same"] == pytest.approx(other["same"] / other["traces"])
    assert pair["kappa"] == pytest.approx(other["kappa"]) and abs(pair["kappa"]) < 0.15, "one of them is random"


def test_the_command(judged, run, ask_json):
    done = run("--store", judged.place, "critics")
    assert done.returncode == 0 and "grades both alike, as far as" in done.stdout and "kappa" in done.stdout
    assert ask_json("--store", judged.place, "critics") == critics(judged)


def test_a_store_without_controls_says_what_is_missing(store, model, run, ask_json):
    assert ask_json("--store", store.place, "critics") == {"critics": [], "pairs": []}
    assert "next: " in run("--store", store.place, "critics").stderr
    generate(store, Selection(limit=5), endpoint("m"), how=How(quiet=True))
    grade(store, Selection(limit=5), endpoint("c"), how=How(quiet=True))
    own = ask_json("--store", store.place, "critics")["critics"][0]
    assert own["auroc"] is None and own["verdict"] == "unknown: it has not graded a control"


def test_counts_give_the_same_auroc_as_scikit_learn():
    rng = np.random.default_rng(0)
    for _ in range(20):
        side, step = rng.integers(0, 2, 60), rng.integers(1, 6, 60)
        counts = np.zeros((1, 2, 5))
        np.add.at(counts, (0, side, step - 1), 1)
        assert auroc_of_counts(counts)[0] == pytest.approx(roc_auc_score(side, step))
    assert np.isnan(auroc_of_counts(np.zeros((1, 2, 5)))[0])


def drawn(rng, effect, perts=40, each=8):
    """Grades of a critic whose traces share a quality within a perturbation; truth adds `effect`."""
    for pert in range(perts):
        own = rng.gauss(3, 0.8)
        for n in range(each):
            step = round(own + rng.gauss(0, 0.8) + effect * (n % 2))
            yield {"pert": pert, "true_outcome": bool(n % 2), "step": min(5, max(1, step))}


@pytest.mark.parametrize("effect", [0.0, 0.6])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(effect):
    rng = random.Random(1)
    big = list(drawn(rng, effect, perts=4000))
    truth = roc_auc_score([r["true_outcome"] for r in big], [r["step"] for r in big])
    found = [told_apart(list(drawn(rng, effect))) for _ in range(120)]
    covered = sum(f["low"] <= truth <= f["high"] for f in found) / len(found)
    assert 0.88 <= covered <= 1.0
    alike = sum(f["verdict"].startswith("grades both alike") for f in found) / len(found)
    assert alike > 0.88 if effect == 0 else alike < 0.02
