"""Baselines: what trivial rules get, as predictions like those of any model, so that the same code scores them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curation.schema import LABELS
from eval import features, lookups, physical
from eval.neighbours import vote
from eval.predictions import SCHEMA
from eval.words import DIRECTION, GIVEN, HARD, THREE_CLASS

if TYPE_CHECKING:
    import numpy as np

MODEL = "baseline: {}"
NOT_SEEN = "not_in_train"  # as the reason for no answer

Tell = Callable[[str], None]
Rule = Callable[[pa.Table, pa.Table], "np.ndarray"]  # train, test -> (test rows, 3): a probability for each of LABELS


class Files(NamedTuple):
    """What the user has for baselines that need knowledge from elsewhere: vectors of genes, STRING's two files."""

    features: Path | None = None
    network: physical.Network | None = None


NO_FILES = Files()

LOOK_UPS: Mapping[str, Rule] = {
    "majority": lookups.majority,
    "gene-in-line": lookups.gene_in_line,
    "gene-other-lines": lookups.gene_other_lines,
    "pert-other-lines": lookups.pert_other_lines,
    "pair-other-lines": lookups.pair_other_lines,
    "pair-else-gene": lookups.pair_else_gene,
}


def baselines(
    train: pa.Table,
    test: pa.Table,
    *,
    task: str = THREE_CLASS,
    files: Files = NO_FILES,
    seed: int = 0,
    facts: Mapping[str, str] | None = None,
    tell: Tell = lambda remark: None,
) -> list[pa.Table]:
    """Return the predictions of every baseline that the data at hand allows.

    Args:
        train: the examples that the rules may look at: example_id, cell_line, pert, gene, label.
        test: those that they answer for.
        task: three-class, or direction: of the test rows that change, with the odds of up against down.
        files: knowledge from elsewhere, for the baselines that need some.
        seed: of the random baseline.
        facts: values of the columns dataset, split and side.
        tell: called with a line for each baseline that is left out, and why.

    Returns:
        A table of `predictions.SCHEMA` a baseline, its model `baseline: NAME`.

    Raises:
        BadInput: a file of the user's is not what it should be.
    """
    found = rates(train, test, files=files, seed=seed, tell=tell)
    return [predictions(name, own, test, task, facts or {}) for name, own in found.items()]


def rates(
    train: pa.Table, test: pa.Table, *, files: Files = NO_FILES, seed: int = 0, tell: Tell = lambda remark: None
) -> dict[str, np.ndarray]:
    """Return by name what each baseline says of the test rows, (rows, 3) as LABELS; see `baselines`."""
    rules: dict[str, Rule] = {**LOOK_UPS, "random": partial(lookups.random, seed=seed), "neighbours": vote}
    rules |= dict(_of_files(files, test, tell))
    left_out = dict(_pointless(train, test))
    for name, why in left_out.items():
        tell(f"{name}: left out, {why}")
    return {name: rule(train, test) for name, rule in rules.items() if name not in left_out}


def _of_files(files: Files, test: pa.Table, tell: Tell) -> Iterator[tuple[str, Rule]]:
    if files.features is None:
        tell("features: left out, no --features FILE was given")
    else:
        found = features.read(files.features)
        genes, rows = features.without(found, test)
        if genes:
            tell(f"features: {genes:,} genes of {rows:,} test rows have no vector and get the mean one")
        yield "features", partial(features.regression, features=found)
    if files.network is None:
        tell("physical: left out, no --string-links and --string-info were given")
    else:
        yield "physical", partial(physical.physical, network=files.network)


def _pointless(train: pa.Table, test: pa.Table) -> Iterator[tuple[str, str]]:
    """Yield the look-ups that no test row finds anything by, with the reason."""
    lines, asked = set(train["cell_line"].unique().to_pylist()), set(test["cell_line"].unique().to_pylist())
    if not lines & asked:
        yield "gene-in-line", f"no train row is of {', '.join(sorted(asked))}"
    if len(lines | asked) == 1:
        for name in ("gene-other-lines", "pert-other-lines", "pair-other-lines"):
            yield name, "there is one cell line"


def predictions(name: str, rates: np.ndarray, test: pa.Table, task: str, facts: Mapping[str, str]) -> pa.Table:
    """Return a baseline's probabilities as predictions.

    Args:
        name: of the baseline.
        rates: (test rows, 3), as LABELS; a row of NaN is no answer.
        test: example_id, cell_line, pert, gene, label.
        task: what is asked; for direction up and down are taken against each other, and of the test rows that change.
        facts: values of the columns dataset, split and side.
    """
    import numpy as np

    if task == DIRECTION:
        changed = pc.not_equal(test["label"], LABELS[2])
        test, rates = test.filter(changed), rates[changed.to_numpy()]
        rates = np.column_stack([_odds(rates), np.zeros(len(rates))])
    rates = np.clip(rates, 0.0, 1.0)  # by rounding they may be out by the last digit
    none = np.isnan(rates).any(axis=1)
    # of equal ones the last, which is the most common label
    best = len(LABELS) - 1 - np.argmax(np.where(none[:, None], -1.0, rates)[:, ::-1], axis=1)
    n = test.num_rows
    columns = {c: test[c] for c in ("example_id", "cell_line", "pert", "gene", "label")}
    columns |= {"task": _all(task, n), "model": _all(MODEL.format(name), n)}
    columns |= {c: _all(facts.get(c), n) for c in ("dataset", "split")} | {"side": _all(facts.get("side", "test"), n)}
    columns["answer"] = pa.array(np.array(LABELS, object)[best], pa.string(), mask=none)
    columns |= {p: pa.array(rates[:, i], pa.float64(), mask=none) for i, p in enumerate(("p_up", "p_down", "p_none"))}
    columns["score_kind"] = _all(HARD if name == "random" else GIVEN, n)
    columns["reason"] = pa.array([NOT_SEEN] * n, pa.string(), mask=~none)
    return pa.table([columns.get(f.name, pa.nulls(n, f.type)) for f in SCHEMA], schema=SCHEMA)


def _odds(rates: np.ndarray) -> np.ndarray:
    """Return up and down so that they add to 1; NaN where a rule speaks for neither."""
    import numpy as np

    with np.errstate(invalid="ignore", divide="ignore"):
        return rates[:, :2] / rates[:, :2].sum(axis=1, keepdims=True)


def _all(value: str | None, n: int) -> pa.Array:
    return pa.nulls(n, pa.string()) if value is None else pa.repeat(value, n)
