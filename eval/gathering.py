"""Gathering: files of predictions, what was measured, the baselines and the parts of the rows that are scored apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from curation.errors import BadInput
from curation.schema import LABELS
from eval import csvs, predictions
from eval.answered import MEASURED, Answered, lay
from eval.words import DIRECTION, THREE_CLASS

if TYPE_CHECKING:
    from curation.published import Published
    from curation.store import Store
    from eval.sides import Sides

PARQUET, CSV = "parquet", "csv"
Told = dict[str, str | None]
Tell = Callable[[str], None]


class Source(NamedTuple):
    """What a file need not say: the side that it predicts; and for CSV also the task and the model."""

    split: str = "default"
    side: str = "test"
    task: str = THREE_CLASS
    model: str | None = None


DEFAULT = Source()


class Gathered(NamedTuple):
    """Sets of predictions laid beside what was measured; of a dataset at hand also baselines and subsets by split."""

    models: list[Answered]
    baselines: list[Answered]
    subsets: dict[str, dict[str, set[str]]]  # split -> name -> example_ids
    simulated: bool = False  # whether the dataset is of a rehearsal, so that no score on it says anything of biology


def gather(
    files: Sequence[Path],
    dataset: str | None = None,
    *,
    input: str = PARQUET,  # noqa: A002
    source: Source = DEFAULT,
    store: Store | None = None,
    beside: bool = True,
    tell: Tell = lambda remark: None,
) -> Gathered:
    """Read files of predictions and lay them beside what was measured.

    Args:
        files: Parquet, or CSV.
        dataset: a version's folder, or ORG/REPO@REVISION; None: the predictions say themselves what was measured, and
            there are no baselines, no clean rows, and no coverage.
        input: parquet or csv.
        source: what the files do not say.
        store: where baselines look up all of the train side, and not the dataset's rows alone.
        beside: whether baselines and subsets are wanted.
        tell: called with a line for what is left out.

    Raises:
        BadInput: a file, or a row of it, is not as it should be; or it is about another split.
    """
    if input == CSV and dataset is None:
        raise BadInput("--input csv: name the dataset that was predicted as well (--dataset)")
    at_hand = _Dataset(dataset, store) if dataset else None
    sets = [one for file in files for one in _sets(file, at_hand, input, source, tell)]
    models = [_laid(table, shared, at_hand, file, tell) for table, shared, file in _named_apart(sets)]
    if at_hand is None:
        return Gathered(models, [], {})
    if simulated := any(at_hand.simulated(str(a.shared["split"]), str(a.shared["side"])) for a in models):
        tell(f"{at_hand.title} is of a rehearsal: scores on it say nothing about biology")
    if not beside:
        return Gathered(models, [], {}, simulated)
    asked = dict.fromkeys((str(a.shared["split"]), a.shared["task"]) for a in models if a.shared["side"] == "test")
    given = {(a.shared["model"], a.shared["split"], a.shared["task"]) for a in models}  # from `baselines --out`
    rules = [b for split, task in asked for b in at_hand.baselines(split, str(task))]
    baselines = [b for b in rules if (b.shared["model"], b.shared["split"], b.shared["task"]) not in given]
    return Gathered(models, baselines, {split: at_hand.subsets(split) for split, _ in asked}, simulated)


class _Dataset:
    """A dataset at hand, each of its sides read once."""

    def __init__(self, ref: str, store: Store | None) -> None:
        from curation.published import open_dataset

        self.published: Published = open_dataset(ref)
        self.title = f"{self.published.name}@{self.published.version}"
        self._store, self._sides, self._rates = store, dict[str, Any](), dict[str, Any]()

    def measured(self, split: str, side: str) -> pa.Table:
        """Return the examples of a side."""
        if side == "test":
            return self.sides(split).test
        rows = self.published.table(split, side, list(MEASURED))  # of one example several traces
        return rows.group_by(list(MEASURED)).aggregate([]).select(MEASURED).sort_by("example_id").combine_chunks()

    def simulated(self, split: str, side: str) -> bool:
        """Tell whether a side holds anything that was measured nowhere."""
        return True in self.published.table(split, side, ["simulated"])["simulated"].unique().to_pylist()

    def place(self, example_id: str) -> str:
        """Return in words where else an example stands."""
        for split in self.published.splits:
            for side in ("train", "validation", "test"):
                if example_id in self.measured(split, side)["example_id"].to_pylist():
                    return f"an example of the {side} side of {split}"
        return "no example of this dataset"

    def sides(self, split: str) -> Sides:
        """Return the train and test examples of a split."""
        from eval.sides import sides

        if split not in self._sides:
            self._sides[split] = sides(self.published, split, self._store)
        return self._sides[split]

    def baselines(self, split: str, task: str) -> list[Answered]:
        """Return every baseline that the data at hand allows, for one split and task."""
        from eval.baselines import predictions as as_predictions
        from eval.baselines import rates

        of = self.sides(split)
        if split not in self._rates:
            self._rates[split] = rates(of.train, of.test)
        facts = {"dataset": self.title, "split": split}
        made = [as_predictions(rule, own, of.test, task, facts) for rule, own in self._rates[split].items()]
        return [lay(table, shared, of.test, "a baseline") for t in made for shared, table in predictions.sets(t)]

    def subsets(self, split: str) -> dict[str, set[str]]:
        """Return the clean and the resistant examples."""
        from eval.audit import subsets

        of = self.sides(split)
        return {name: set(ids) for name, ids in subsets(of.train, of.test).items()}


def _sets(
    file: Path, at_hand: _Dataset | None, kind: str, source: Source, tell: Tell
) -> list[tuple[pa.Table, Told, Path]]:
    if kind == CSV:
        assert at_hand is not None
        found = csvs.read(file, at_hand.measured(source.split, source.side))
        if found.unknown:
            tell(csvs.told(found.unknown, file))
        table = predictions.whole(found.table, file, source.task, first=2)
    else:
        table = predictions.read(file)
    beside = {"split": source.split, "side": source.side, "dataset": at_hand.title if at_hand else None}
    if source.model:
        beside["model"] = source.model
    return [(t, {**shared, **_beside(shared, beside)}, file) for shared, t in predictions.sets(table)]


def _beside(shared: Told, beside: Told) -> Told:
    """Return what a set does not say itself."""
    return {k: shared[k] if shared[k] is not None and k != "model" else v for k, v in beside.items()}


def _named_apart(sets: list[tuple[pa.Table, Told, Path]]) -> list[tuple[pa.Table, Told, Path]]:
    """Name the file beside the model where two files are of one model, task, split and side."""
    keys = [(s["task"], s["model"], s["split"], s["side"]) for _, s, _ in sets]
    return [
        (t, {**s, "model": f"{s['model']} ({f.stem})"} if keys.count(key) > 1 else s, f)
        for (t, s, f), key in zip(sets, keys, strict=True)
    ]


def _laid(table: pa.Table, shared: Told, at_hand: _Dataset | None, file: Path, tell: Tell) -> Answered:
    split, side = str(shared["split"]), str(shared["side"])
    if at_hand is None:
        return lay(table, shared, None, file)
    if shared["dataset"] != at_hand.title:
        tell(f"{file}: says that it is about {shared['dataset']}, and is scored against {at_hand.title}")
    found = lay(table, shared, at_hand.measured(split, side), file, at_hand.place)
    left_out = table.num_rows - int(found.given.sum())
    if left_out and shared["task"] == DIRECTION:
        tell(f"{file}: {left_out:,} rows are left out: their gene is {LABELS[2]}, so it has no direction")
    elif left_out:
        tell(f"{file}: {left_out:,} rows have no score and count as missing")
    return found
