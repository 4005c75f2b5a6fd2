"""Commands that exchange traces with other tools: what was made elsewhere comes in, what was built here goes out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from curation.commands.options import open_store
from curation.printing import result, say, say_next, table

SHOWN = 20  # bad rows; --json has them all


def import_(
    ctx: typer.Context,
    source: Annotated[str, Argument(help="CSV, JSONL or Parquet file, folder of such, or ORG/REPO[@REVISION]")],
    mapping: Annotated[
        list[str] | None, Option("--map", metavar="OURS=THEIRS", help="the column of a field, e.g. label=true_answer")
    ] = None,
    split: Annotated[
        str, Option(help="whose sides are counted; of a dataset with such a folder, that is read")
    ] = "default",
    generator: Annotated[str, Option(help="the model that wrote rows that do not say it")] = "unknown",
    critic: Annotated[str, Option(help="the model that graded rows that do not say it")] = "unknown",
    approach: Annotated[str, Option(help="explain, or blind if the generator was not shown the outcome")] = "explain",
    licence: Annotated[str | None, Option(help="licence of these traces")] = None,
    skip_bad: Annotated[
        bool, Option("--skip-bad", help="leave out rows that cannot be imported, and list them")
    ] = False,
) -> None:
    """Bring traces that were made elsewhere into the store.

    All of them or none; the same ones a second time add nothing.

    Example: synthpert import synthetic.csv --generator o4-mini --critic o4-mini
    """
    from curation.importing import Given, import_traces

    given = Given(generator, critic, approach, licence)
    done = import_traces(
        open_store(ctx), source, given=given, mapping=mapping or (), split=split, skip_bad=skip_bad
    )  # fmt: skip
    if done.unread:
        say(ctx, f"columns that nothing is read from: {', '.join(done.unread)}")
    parts = [f"{done.rows:,} rows, {done.traces:,} new traces, {done.grades:,} new grades"]
    bad = [{k: b[k] for k in ("file", "line", "row", "column", "reason", "found")} for b in done.bad[:SHOWN]]
    parts += [table(rows) for rows in (done.left_out, bad, done.read, done.sides) if rows]
    result(ctx, done._asdict(), "\n\n".join(parts))
    test = sum(s["n"] for s in done.sides if s["side"] == "test")
    if test:
        say(ctx, f"{test:,} of them are of the test side of {split}: no dataset takes them to its train side")
    say_next(ctx, "synthpert sql 'FROM funnel'")


def export(
    ctx: typer.Context,
    dataset: Annotated[str, Argument(help="NAME@VERSION of the store, a version's folder, or ORG/REPO@REVISION")],
    form: Annotated[str, Option("--format", help="trl, openai or csv")],
    output: Annotated[str, Option(help="the file to write; - is stdout")],
    split: Annotated[str, Option(help="default, rpe1_holdout or unseen_pert")] = "default",
    side: Annotated[str, Option(help="train, validation or test")] = "train",
) -> None:
    """Write a side of a dataset as a file that other trainers and tools read.

    Example: synthpert export perturb-traces@1.0.0 --format trl --output train.jsonl
    """
    from curation.exporting import STDOUT
    from curation.exporting import export as work

    of_store = "/" not in dataset and not Path(dataset).is_dir()
    done = work(dataset, form, output, split=split, side=side, store=open_store(ctx) if of_store else None)
    if done.unmarked:
        say(ctx, f"simulated: this format has no place to say so ({done.unmarked:,} of {done.rows:,} rows)")
    text = f"{done.rows:,} rows of {dataset}, {split}, {side} -> {output}"
    if output == STDOUT:
        return say(ctx, text)
    result(ctx, done._asdict(), text if done.written else f"{output} holds these {done.rows:,} rows already")
