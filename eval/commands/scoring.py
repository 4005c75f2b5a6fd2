"""score, compare, tables: how good predictions are, where two differ, and how they stand beside published ones."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from curation.commands.options import open_store, takes
from curation.config import store_place
from curation.printing import markdown, result, say, table

Files = Annotated[list[Path], Argument(metavar="PREDICTIONS...", help="Parquet files, as `predict` writes them")]
Dataset = Annotated[
    str | None, Option(metavar="DATASET", help="folder of a version, or ORG/REPO@TAG: what was measured, and baselines")
]
Rounds = Annotated[int, Option(min=100, help="resamples of the perturbations, for the intervals")]
Markdown = Annotated[bool, Option("--markdown", help="print tables of Markdown")]


class Input(StrEnum):
    """What a file of predictions can be."""

    parquet = "parquet"
    csv = "csv"


InputKind = Annotated[Input, Option("--input", help="csv: cell_line, pert, gene, and label, probabilities or score")]
Resampled = Annotated[int, Option("--seed", help="of the resamples")]


class Task(StrEnum):
    """What a model is asked."""

    three_class = "three-class"
    direction = "direction"


def source(
    split: Annotated[str, Option(help="for files that do not say it")] = "default",
    side: Annotated[str, Option(help="for files that do not say it")] = "test",
    task: Annotated[Task, Option(help="for files that do not say it")] = Task.three_class,
    model: Annotated[str | None, Option(help="name of the model, instead of what the file says")] = None,
) -> Any:
    """Make a Source."""
    from eval.gathering import Source

    return Source(split, side, task.value, model)


@takes(source=source)
def score(
    ctx: typer.Context,
    files: Files,
    source: Any,
    dataset: Dataset = None,
    input: InputKind = Input.parquet,  # noqa: A002
    out: Annotated[Path | None, Option(help="write a page with plots as well, e.g. report.html")] = None,
    rounds: Rounds = 1000,
    seed: Resampled = 0,
    as_markdown: Markdown = False,
) -> None:
    """Score predictions, with intervals, beside what trivial rules get.

    With a dataset each score stands beside the baselines, and is told apart for the rows that are clean (their
    perturbation is on no train side) and resistant (no look-up gets them right); missing predictions are counted. With
    --store the baselines look up all of the split's train side, and not the dataset's rows alone.

    Example: synthpert score predictions.parquet --dataset perturb-traces-1.0.0 --out report.html
    """
    from eval import scoring, showing

    found = _gathered(ctx, files, dataset, input, source)
    rows = scoring.score([*found.models, *found.baselines], found.subsets, rounds=rounds, seed=seed)
    if out:
        from eval.report import report

        report(found, rows, out, _store_if_any(ctx))
    result(ctx, rows, showing.text(rows, *_style(as_markdown)))


def _gathered(
    ctx: typer.Context, files: list[Path], dataset: str | None, kind: Input, source: Any, beside: bool = True
) -> Any:
    from eval.gathering import gather

    store = open_store(ctx) if ctx.obj["store"] and beside else None
    return gather(
        files, dataset, input=kind.value, source=source, store=store, beside=beside, tell=lambda line: say(ctx, line)
    )


def _store_if_any(ctx: typer.Context) -> Any:
    """Return the store, for what experts found; None where there is none and none was named."""
    return open_store(ctx) if ctx.obj["store"] or Path(store_place(None)).is_dir() else None


def _style(as_markdown: bool) -> tuple[Any, str]:
    return (markdown, "### {}") if as_markdown else (table, "{}")


@takes(source=source)
def compare(
    ctx: typer.Context,
    a: Annotated[Path, Argument(metavar="A", help="predictions of one model")],
    b: Annotated[Path, Argument(metavar="B", help="predictions of another one; differences are B less A")],
    source: Any,
    dataset: Dataset = None,
    input: InputKind = Input.parquet,  # noqa: A002
    rounds: Rounds = 1000,
    seed: Resampled = 0,
    as_markdown: Markdown = False,
) -> None:
    """Tell where two models differ: paired differences, and which examples changed.

    Only examples that both predicted count. --json lists every example with another answer.

    Example: synthpert compare base.parquet tuned.parquet --dataset perturb-traces-1.0.0
    """
    from eval import comparing

    one, two = (_gathered(ctx, [file], dataset, input, source, beside=False).models for file in (a, b))
    found = comparing.compare(one, two, rounds=rounds, seed=seed)
    result(ctx, {**found._asdict(), "moves": comparing.moves(found)}, comparing.text(found, *_style(as_markdown)))


@takes(source=source)
def tables(
    ctx: typer.Context,
    files: Files,
    source: Any,
    dataset: Dataset = None,
    input: InputKind = Input.parquet,  # noqa: A002
    rounds: Rounds = 1000,
    seed: Resampled = 0,
    as_markdown: Markdown = False,
) -> None:
    """Print the paper's Tables 1 to 4 with our rows beside the published ones.

    Each figure has its source, and says which metric it is, or that this is uncertain. With a store in which experts
    have judged predictions, the comparison of Appendix B follows: how true is what was written for right answers and
    for wrong ones.

    Example: synthpert tables predictions.parquet --dataset perturb-traces-1.0.0 --markdown
    """
    from eval import scoring
    from eval import tables as work

    found = _gathered(ctx, files, dataset, input, source)
    rows = work.tables(scoring.score([*found.models, *found.baselines], rounds=rounds, seed=seed))
    judged = work.appendix_b(_store_if_any(ctx))
    result(ctx, rows + judged, work.text(rows, judged, *_style(as_markdown)))
