"""Commands that look at the store: SQL, traces, the report, how a text is read; and what hides a part of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from curation.commands.options import Seed, open_store
from curation.errors import BadInput
from curation.printing import result, table


def sql(
    ctx: typer.Context,
    query: Annotated[str, Argument(help="one SELECT; tables are raw.NAME, views NAME")],
) -> None:
    """Answer one SELECT over the store's tables and views.

    Example: synthpert sql "SELECT grade, count(*) FROM traces GROUP BY grade"
    """
    from curation.apart import answer
    from curation.locked import rows

    found = rows(answer(open_store(ctx), query))
    result(ctx, found, table(found))


def show(
    ctx: typer.Context,
    trace_id: Annotated[str | None, Argument(help="id of a trace; its first characters will do")] = None,
    sample: Annotated[int | None, Option(min=1, help="so many traces instead of one")] = None,
    where: Annotated[str | None, Option(metavar="SQL", help="sample those that fit, e.g. \"grade = 'good'\"")] = None,
    seed: Seed = 0,
    html: Annotated[bool, Option("--html", help="write the sample as a page, side by side")] = False,
    out: Annotated[Path, Option(help="the page to write")] = Path("traces.html"),
) -> None:
    """Print one trace and its whole lineage, or a sample of traces.

    Of one trace: its example, the prompts, the response, the grades, and the versions that hold it.

    Example: synthpert show --sample 20 --where "grade = 'good'" --html
    """
    from curation import lineage, sampling

    if (trace_id is None) == (sample is None):
        raise BadInput("give one of TRACE_ID and --sample N")
    if trace_id is not None:
        if where is not None or html:
            raise BadInput("--where and --html go with --sample N")
        found = lineage.lineage(open_store(ctx), trace_id)
        return result(ctx, found, lineage.text(found))
    rows = sampling.show_sample(open_store(ctx), sample or 0, where, seed=seed, out=out if html else None)
    if html:
        return result(ctx, {"out": str(out), "traces": rows}, str(out))
    result(ctx, rows, sampling.text(rows))


def report(
    ctx: typer.Context,
    out: Annotated[Path, Option(help="the page to write")] = Path("report.html"),
    seed: Seed = 0,
) -> None:
    """Write a page about the store: funnel, grades, spend, critics, traces.

    It is one file that needs no network and no script: open it in a browser.

    Example: synthpert report --out report.html
    """
    from curation.report import report as work

    done = work(open_store(ctx), out, seed=seed)
    result(ctx, done, done["out"])


def parse(
    ctx: typer.Context,
    file: Annotated[Path, Argument(help='JSON lines {"id": ..., "text": ...}')],
    kind: Annotated[str, Option(help="generator or critic")] = "generator",
) -> None:
    """Tell how each text of a file is read, and why.

    Example: synthpert parse --kind critic answers.jsonl
    """
    from curation.parse import parse as work

    rows = work(file, kind)
    result(ctx, rows, table(rows))


def exclude(
    ctx: typer.Context,
    reason: Annotated[str, Option(help="why, for whoever asks later")],
    run: Annotated[str | None, Option(metavar="ID", help="hide all that this run wrote")] = None,
    where: Annotated[
        str | None, Option(metavar="SQL", help="hide the traces that fit, e.g. \"generator = 'x'\"")
    ] = None,
    undo: Annotated[bool, Option("--undo", help="show them again")] = False,
) -> None:
    """Hide a bad run, or traces, from every view.

    Nothing is removed: it is a row, and --undo takes it back. What a hidden run was answered is asked again.

    Example: synthpert exclude --run 20261121T120000-1a2b3c4d --reason "wrong model behind the address"
    """
    from curation.exclusions import exclude as work

    done = work(open_store(ctx), run_id=run, where=where, reason=reason, undo=undo)
    what = f"{done.n:,} {done.kind}{'s' if done.n > 1 else ''}"
    result(ctx, done._asdict(), f"{what} {'hidden from' if done.hidden else 'shown again in'} every view")
