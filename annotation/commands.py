"""The commands `synthpert annotate ...`: each parses, calls one function, prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from curation.commands.options import open_store
from curation.printing import result, table

COLUMNS = ["n", "start_char", "end_char", "text"]


def clauses(
    ctx: typer.Context,
    trace_id: Annotated[str, Argument(help="id of a trace; its first characters will do")],
) -> None:
    """Print the clauses of one trace, which experts judge one by one.

    Clauses that the store holds stand as they are; else the text is cut now, and nothing is written.

    Example: synthpert annotate clauses 1a2b3c4d
    """
    store = open_store(ctx)
    from annotation.clauses import of_traces
    from curation.lineage import find

    found = of_traces(store, [find(store, trace_id)])
    rows = [
        {**{c: row[c] for c in ["clause_id", *COLUMNS, "segmenter"]}, "recorded": row["run_id"] is not None}
        for row in found.to_pylist()
    ]
    result(ctx, rows, table([{c: row[c] for c in COLUMNS} for row in rows]))


def report(
    ctx: typer.Context,
    by: Annotated[
        list[str] | None,
        Option(metavar="COLUMN", help="tell factuality by this: level, round, version, or a column of traces"),
    ] = None,
    version: Annotated[str | None, Option(metavar="NAME@VERSION", help="only the rows of this version")] = None,
    out: Annotated[Path | None, Option(help="write it as a page, e.g. review.html")] = None,
) -> None:
    """Tell what experts found: factuality, agreement, and how well each annotator does.

    Without --by, factuality is told by correct, grade, label and level of claim.

    Example: synthpert annotate report --by grade --by generator --out review.html
    """
    from annotation import report as work

    found = work.report(open_store(ctx), by, version=version, out=out)
    result(ctx, found, work.text(found))
