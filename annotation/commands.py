"""The commands `synthpert annotate ...`: each parses, calls one function, prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from curation.commands.options import open_store
from curation.printing import result, say, table

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


def serve(
    ctx: typer.Context,
    port: Annotated[int, Option(min=0, max=65535, help="0 takes a free one")] = 6900,
    host: Annotated[str, Option(help="address to listen on; 0.0.0.0 is all of this machine's")] = "127.0.0.1",
    data: Annotated[Path, Option(help="folder of the server's data")] = Path("annotation-server"),
    users: Annotated[Path | None, Option(help="CSV or TOML file: username, role, password")] = None,
    workspace: Annotated[str, Option(help="workspace that these users share; made if it is not there")] = "review",
) -> None:
    """Serve Argilla on this machine, for experts to open in a browser, until Ctrl-C.

    The first time it makes an environment for the server, which needs a package index and a minute or two. Users are
    read from a file, else asked for at the terminal; passwords that it makes are shown once. An owner sees everything
    and may change it, an annotator answers.

    Example: synthpert annotate serve --users team.csv
    """
    from annotation.server import credentials, serving
    from annotation.server.serve import until_ended
    from annotation.server.users import ask, read

    fresh = credentials.read(data) is None
    given = read(users) if users else ask() if fresh else []
    with serving(data, given, port, host, workspace, say=lambda line: say(ctx, line)) as served, until_ended(served):
        _tell(ctx, served, data / credentials.FILE, fresh)


def _tell(ctx: typer.Context, served: Any, file: Path, fresh: bool) -> None:
    """Print how to reach a server; the key and the passwords that were made are shown this once."""
    made = [
        {"username": u["username"], "role": u["role"], "password": u["password"]} for u in served.users if u["made"]
    ]
    found = {"url": served.url, "workspace": served.workspace, "owner": served.owner, "users": made}
    lines = [f"{served.url} (workspace {served.workspace})", *([table(made)] if made else [])]
    lines += [f"export ARGILLA_API_URL={served.url} ARGILLA_API_KEY={served.api_key}"] if fresh else []
    result(ctx, found | ({"api_key": served.api_key} if fresh else {}), "\n".join(lines))
    sys.stdout.flush()
    say(ctx, f"the owner's key is kept in {file}, where the other commands find it; Ctrl-C ends the server")
