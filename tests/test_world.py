"""The planted world: what was planted is found again in the benchmark, the stored texts and the stored grades.

Every comparison with a planted figure is a z-score; seeds are fixed, so a test that passes keeps passing.
"""

import random
import re
from collections import Counter, defaultdict
from itertools import combinations
from math import exp, lgamma, sqrt

import pytest

from curation.asking.requests import endpoint
from curation.asking.stage import How
from curation.grades import grade
from curation.prompting import fill, load
from curation.rehearsal.judges import DESERVED, annotate, chances, criticise, deserved, share
from curation.rehearsal.server import serve
from curation.rehearsal.statements import SLOTS, TEMPLATES, read, slots_of
from curation.rehearsal.world import DOWN, LINES, NOISE, SHARES, UNCHANGED, UP, World, the_world, write_benchmark
from curation.rehearsal.writer import ABSTAIN, SPREAD, Pair, Planted, answer, reasoning
from curation.selection import Selection
from curation.store import Store
from curation.traces import generate

WORLD = the_world()
ROWS = [row for seed in range(3) for row in WORLD.rows(seed)]
PLANTED = Planted()
SAME = sum(p * p for p in SHARES.values())  # that two labels drawn from SHARES are the same


def z(found, chance):
    """Compare a count of independent events with the probability of each."""
    found, chance = list(found), list(chance)
    return (sum(found) - sum(chance)) / sqrt(sum(p * (1 - p) for p in chance))


def implied(row):
    return WORLD.mechanism(row.pert, row.gene, row.line).effect


def traces(n, quality=PLANTED.quality, true_label=True):
    """Texts about n rows, towards what the world implies or towards the outcome measured."""
    for i, row in enumerate(random.Random(5).sample(ROWS, n)):
        label = implied(row) if true_label else row.label
        yield reasoning(Pair(row.pert, row.gene, row.line), label, quality, random.Random(i))


def truth(text):
    return share(true for _, true in WORLD.clauses(text))


# -- the benchmark


@pytest.mark.parametrize("of", [implied, lambda row: row.label], ids=["implied", "measured"])
def test_the_classes_are_as_rare_as_planted(of):
    labels = [of(row) for row in ROWS]
    for label, p in SHARES.items():
        assert abs(z((found == label for found in labels), [p] * len(labels))) < 3.5


def routes(pert, gene, line):
    """Every route by which the knock-down reaches the gene, found without the world's own reasoning: the effects."""
    silent = {g for g, where in WORLD.silent if where == line}
    edges = {pair: sign for pair, sign in WORLD.edges.items() if not silent & set(pair)}
    found = [edges[pert, gene]] if (pert, gene) in edges else []
    found += [edges[pert, via] * edges[via, gene] for a, via in edges if a == pert and (via, gene) in edges]
    found += [1] if WORLD.complex[pert] == WORLD.complex.get(gene) and not silent & {pert, gene} else []
    return [DOWN if sign > 0 else UP for sign in found]


def test_labels_follow_from_the_edges_but_for_the_noise():
    for row in ROWS[:1000]:
        assert (routes(row.pert, row.gene, row.line) or [UNCHANGED]) == [implied(row)], "one route at most"
    wrong = [row.label != implied(row) for row in ROWS]
    assert abs(z(wrong, [NOISE * (1 - SHARES[implied(row)]) for row in ROWS])) < 3.5
    assert {WORLD.mechanism(r.pert, r.gene, r.line).kind for r in ROWS} == {"none", "direct", "complex", "cascade"}


def test_a_perturbation_is_on_one_side_of_a_line_and_in_other_lines_too():
    rows = WORLD.rows()
    sides = defaultdict(set)
    for row in rows:
        sides[row.line, row.pert].add(row.side)
    assert all(len(found) == 1 for found in sides.values())
    assert sum(row.side == "train" for row in rows) / len(rows) == pytest.approx(0.81, abs=0.01)
    known = {(row.line, row.pert) for row in rows if row.side == "train"}
    for line in LINES:
        assert len({gene for gene, where in WORLD.silent if where == line}) == 35
        test = {row.pert for row in rows if (row.line, row.side) == (line, "test")}
        elsewhere = {p for p in test if any((other, p) in known for other in LINES if other != line)}
        assert len(test) == 9 and len(elsewhere) >= 7


def expected_overlap(one, other):
    """The pairs that two lines are expected to share, given how many of each class each has of a perturbation."""
    total = 0.0
    for pert in {pert for pert, _ in one} & {pert for pert, _ in other}:
        weights = []
        for line, pairs in ((next(iter(one.values())).line, one), (next(iter(other.values())).line, other)):
            n = Counter(implied(row) for (p, _), row in pairs.items() if p == pert)
            pools = WORLD.pools(pert, line)
            weights.append({g: n[label] / len(genes) for label, genes in pools.items() for g in genes})
        total += sum(p * weights[1].get(gene, 0.0) for gene, p in weights[0].items())
    return total


def test_lines_share_pairs_with_mostly_the_same_label():
    by_line = {line: {(r.pert, r.gene): r for r in WORLD.rows() if r.line == line} for line in LINES}
    agree, chance, differ = [], [], 0
    for one, other in combinations(by_line.values(), 2):
        shared = one.keys() & other.keys()
        expected = expected_overlap(one, other)
        assert abs(len(shared) - expected) / sqrt(expected) < 3.5
        for a, b in ((one[pair], other[pair]) for pair in sorted(shared)):
            agree.append(a.label == b.label)
            pa, pb = SHARES[implied(a)], SHARES[implied(b)]
            differ += implied(a) != implied(b)
            kept = (1 - NOISE) ** 2 if implied(a) == implied(b) else 0.0
            chance.append(kept + NOISE * (1 - NOISE) * (pa + pb) + NOISE**2 * SAME)
    assert abs(z(agree, chance)) < 3.5
    assert len(agree) > 250 and sum(agree) / len(agree) > 0.9 and differ > 5, "some edges are one line's own"


def test_a_seed_plants_a_world_and_another_seed_another():
    assert World(0).edges == WORLD.edges != World(1).edges
    assert WORLD.rows(0) == WORLD.rows(0) != WORLD.rows(1)


# -- the sentences


@pytest.mark.parametrize("kind", TEMPLATES)
def test_every_sentence_is_read_as_what_it_says(kind):
    example = {"line": "RPE1", "complex": "mQXC7", "function": "splicing factor", "pathway": "amber loop"}
    example |= {slot: f"QXA1{i}" for i, slot in enumerate(SLOTS) if slot not in example} | {"any": "AC118549.1"}
    values = tuple(example[slot] for slot in slots_of(TEMPLATES[kind][0]))
    for template in TEMPLATES[kind]:
        text = template.format(**example)
        assert read(f"Query: is it so?\n{text} What is this\nand {text}") == [
            ("Query: is it so?", None), (text, (kind, values)), ("What is this", None), ("and", None),
            (text, (kind, values)),
        ]  # fmt: skip


def test_every_sentence_of_500_traces_is_read():
    for text in traces(500, true_label=False):
        found = read(text)
        assert all(statement for _, statement in found), text
        assert " ".join(clause for clause, _ in found) == text
    words = " ".join(traces(500))
    assert all(part in words for part in ("e.g.", "i.e.", "cf.", "vs.", "approx.")) and re.search(r"\. mQXC\d", words)


def test_a_broken_text_has_no_truth_where_it_is_broken():
    whole = next(traces(1, quality=1.0))
    *kept, (last, none) = WORLD.clauses(whole[:-9] + " QXA10 and so on.")
    assert none is None and last.endswith("so on.") and all(true is not False for _, true in kept)
    assert WORLD.clauses("TP53 is a kinase. Water is wet.") == [("TP53 is a kinase.", None), ("Water is wet.", None)]
    assert WORLD.clauses("") == []


@pytest.mark.parametrize("quality", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_statements_are_true_as_often_as_told(quality):
    """But for the conclusion, as true as the answer. A trace's own quality varies, so traces are what is counted."""
    means = []
    for text in traces(1500, quality):
        *claims, conclusion = [true for _, true in WORLD.clauses(text) if true is not None]
        assert conclusion
        means.append(sum(claims) / len(claims))
    mean = sum(means) / len(means)
    spread = sqrt(sum((m - mean) ** 2 for m in means) / len(means) / len(means))
    assert abs(mean - quality) <= 3.5 * spread


def test_a_wrong_answer_is_a_false_conclusion_after_a_false_step():
    for i, row in enumerate(WORLD.rows()[::7]):
        wrong = random.Random(i).choice([label for label in SHARES if label != implied(row)])
        text = reasoning(Pair(row.pert, row.gene, row.line), wrong, 1.0, random.Random(i))
        assert [true for _, true in WORLD.clauses(text)][-2:] == [False, False]


# -- the judges, in the real store


def stored(store, where="true"):
    found = store.rows(f"SELECT * FROM traces WHERE valid AND {where}")
    return [t | {"true": truth(t["reasoning"]), "spares": spares(t["reasoning"])} for t in found]


def spares(text):
    return any(statement and statement.kind == "spares" for _, statement in read(text))


def sound(trace):
    return trace["answer"] == WORLD.mechanism(trace["pert"], trace["gene"], trace["cell_line"]).effect


def test_the_critics_accuracy_and_bias_are_found_in_stored_grades(filled):
    graded = stored(Store(filled), "grade IS NOT NULL")
    fair = [t["grade"] == deserved(t["true"]) for t in graded if not t["spares"]]
    assert len(fair) > 300 and abs(z(fair, [PLANTED.critic_accuracy] * len(fair))) < 3.5
    figures = PLANTED.critic_accuracy, PLANTED.critic_bias
    for wanted in DESERVED:
        p = [chances(t["true"], t["spares"], *figures)[wanted] for t in graded]
        assert abs(z((t["grade"] == wanted for t in graded), p)) < 3.5


@pytest.mark.parametrize("accuracy, bias", [(0.85, 0.1), (0.6, 0.3)])
def test_a_critics_bias_is_found_in_what_spares(accuracy, bias):
    rng, by, steps = random.Random(4), defaultdict(list), list(DESERVED)
    for text in traces(1500):
        if (best := deserved(truth(text))) != "excellent":
            given = criticise(text, rng, accuracy, bias)
            by[spares(text)].append(steps.index(best) - steps.index(given) == 1)
    error = (1 - accuracy) / 4
    for spared, lifted in by.items():
        p = (1 - bias) * error + bias * accuracy if spared else error
        assert abs(z(lifted, [p] * len(lifted))) < 3.5
    assert z(by[True], [error] * len(by[True])) > 5, "a critic without a bias does not do that"


def beta_binomial(k, n, a, b):
    def beta(x, y):
        return lgamma(x) + lgamma(y) - lgamma(x + y)

    return exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + beta(k + a, n - k + b) - beta(a, b))


def expected_share(trace, wanted):
    """Mean and variance of the share of true clauses, given the grade: Beta-binomial claims, then the conclusion."""
    n = sum(true is not None for _, true in WORLD.clauses(trace["reasoning"]))
    a, b = PLANTED.quality * SPREAD, (1 - PLANTED.quality) * SPREAD
    figures = trace["spares"], PLANTED.critic_accuracy, PLANTED.critic_bias
    weight = {(k + 1) / n: beta_binomial(k, n - 1, a, b) * chances((k + 1) / n, *figures)[wanted] for k in range(n)}
    mean = sum(x * w for x, w in weight.items()) / sum(weight.values())
    return mean, sum((x - mean) ** 2 * w for x, w in weight.items()) / sum(weight.values())


def test_the_share_of_true_clauses_by_grade_is_as_planted(filled):
    by_grade = defaultdict(list)
    for trace in filter(sound, stored(Store(filled), "grade IS NOT NULL")):
        by_grade[trace["grade"]].append(trace)
    mean = {}
    for wanted in DESERVED:
        expected = [expected_share(t, wanted) for t in by_grade[wanted]]
        found = sum(t["true"] for t in by_grade[wanted])
        assert abs(found - sum(m for m, _ in expected)) / sqrt(sum(v for _, v in expected)) < 3.5
        mean[wanted] = found / len(expected)
    assert mean["excellent"] > mean["good"] > mean["average"] > mean["bad"]
    assert mean["excellent"] > 0.9 and mean["excellent"] - mean["bad"] > 0.25


def test_blind_answers_are_right_as_often_as_planted_and_wrong_ones_are_graded_worse(filled):
    blind = stored(Store(filled), "approach = 'blind'")
    right = [sound(t) for t in blind]
    assert abs(z(right, [PLANTED.skill] * len(right))) < 3.5
    excellent = {fits: [t["grade"] == "excellent" for t in blind if t["grade"] and sound(t) == fits] for fits in (0, 1)}
    assert sum(excellent[1]) / len(excellent[1]) > sum(excellent[0]) / len(excellent[0]) + 0.2


def test_what_is_planted_can_be_set(store, monkeypatch):
    with serve(quality=1.0, skill=1.0, critic_accuracy=1.0, critic_bias=0.0) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        generate(store, Selection(per_label=30), endpoint("m"), approach="blind", how=How(quiet=True))
        grade(store, Selection(per_label=30), endpoint("m"), how=How(quiet=True))
    assert {(t["grade"], t["true"], sound(t)) for t in stored(store)} == {("excellent", 1.0, True)}
    with pytest.raises(TypeError, match="qualty"), serve(qualty=1.0):
        pass


@pytest.mark.parametrize("spared", [False, True])
@pytest.mark.parametrize("accuracy, bias", [(1.0, 0.0), (0.6, 0.4), (0.2, 1.0)])
def test_a_truer_text_is_never_graded_worse_on_the_whole(accuracy, bias, spared):
    shares = [0.0, 0.25, 0.4, 0.5, 0.7, 0.75, 0.8, 0.9, 1.0]
    by = [list(chances(s, spared, accuracy, bias).values()) for s in shares]
    assert all(sum(p) == pytest.approx(1) for p in by)
    for worse, better in zip(by, by[1:], strict=False):
        assert all(sum(better[:n]) >= sum(worse[:n]) - 1e-12 for n in range(6)), "at least this grade"


@pytest.mark.parametrize("accuracy, bias", [(0.9, 0.0), (0.75, 0.2), (1.0, 0.5)])
def test_an_annotators_accuracy_and_bias_are_found(accuracy, bias):
    rng = random.Random(3)
    p = {True: accuracy + (1 - accuracy) * bias, False: accuracy * (1 - bias), None: accuracy}
    right = {True: "TRUE", False: "FALSE", None: "UNVERIFIABLE"}
    by = defaultdict(list)
    for clause, true in (c for text in traces(700) for c in WORLD.clauses(text)):
        by[true].append(annotate(clause, rng, accuracy, bias) == right[true])
    for true, found in by.items():
        assert len(found) > 150
        assert sum(found) == len(found) if p[true] == 1 else abs(z(found, [p[true]] * len(found))) < 3.5
    whole = next(traces(1, quality=1.0))
    assert annotate(whole, rng, 1.0, 0.0) == "TRUE" and annotate("Water is wet.", rng, 1.0, 0.0) == "UNVERIFIABLE"
    assert annotate(whole + " QXA10 is a kinase. " + next(traces(1, quality=0.0)), rng, 1.0, 0.0) == "FALSE"


# -- genes that are not of the world


@pytest.mark.parametrize("approach", ["explain", "blind"])
def test_of_real_genes_it_says_that_it_knows_nothing(approach):
    pair = {"pert": "NEDD4", "gene": "AC118549.1", "cell_line": "K562"}
    asked = load(approach).messages(**pair, outcome=UP)
    said = Counter()
    for seed in range(100):
        text = answer(asked, seed)
        body, label = re.fullmatch("<think>(.*)</think><answer>(.*)</answer>", text).groups()
        said[label] += 1
        assert "the rehearsal knows nothing of" in body.lower() or "the rehearsal knows nothing." in body
        assert "NEDD4" in body and "AC118549.1" in body and "{" not in body
        assert all(statement for _, statement in read(body)) and truth(body) is None
    assert said[UP] > 80 if approach == "explain" else set(said) == set(SHARES)
    assert set(said) <= {*SHARES, ABSTAIN}
    critic = load("critic").messages(query=fill(load("standard").user, pair), reasoning=body)
    assert "The rehearsal knows nothing of NEDD4 or AC118549.1: this grade is drawn by lot." in answer(critic, 0)


def test_a_text_about_the_world_is_judged_whatever_stands_around_it():
    text = next(traces(1, quality=1.0))
    system = load("critic").messages(query="Why?", reasoning=text)
    assert criticise(system[1]["content"], random.Random(0), 1.0, 0.0) == "excellent"


def test_another_measurement_has_other_rows_of_the_same_world(tmp_path):
    for seed in (0, 1):
        write_benchmark(tmp_path / str(seed), seed)
    a, b = ((tmp_path / seed / "rpe1-de.csv").read_text() for seed in "01")
    names = [set(re.findall(r"QX\w+", text)) for text in (a, b)]
    assert a != b and names[0] | names[1] <= set(WORLD.function)
