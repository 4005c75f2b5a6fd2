"""The commands `synthpert annotate ...`: each parses, calls one function, prints."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Argument

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
