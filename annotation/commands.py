"""The commands `synthpert annotate ...`: each parses, calls one function, prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from curation.commands.options import Seed, open_store
from curation.errors import BadInput, Interrupted
from curation.printing import result, say, say_next, table

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


def push(
    ctx: typer.Context,
    name: Annotated[str, Option(help="name of the round; the same command goes on with it")],
    sample: Annotated[int, Option(min=1, help="so many traces, or predictions, with all their clauses")],
    by: Annotated[
        str | None, Option(metavar="A,B", help="as many of each value of these columns of traces, or of disagreement")
    ] = None,
    annotators: Annotated[int, Option(min=1, max=99, help="verdicts wanted for each clause")] = 2,
    where: Annotated[str | None, Option(metavar="SQL", help="only those that fit, e.g. \"grade = 'good'\"")] = None,
    everybody: Annotated[float, Option(min=0, max=1, help="share of the clauses that every expert judges")] = 0.2,
    planted: Annotated[float, Option(min=0, max=1, help="share of the clauses to turn round, to measure experts")] = 0,
    planted_file: Annotated[Path | None, Option(help="CSV of text,truth to plant instead")] = None,
    predictions: Annotated[Path | None, Option(help="Parquet of example_id,reasoning,answer to draw from")] = None,
    names: Annotated[Path | None, Option(help="TSV of symbol,name,entrez: full names of genes")] = None,
    last_word: Annotated[str | None, Option(metavar="USER", help="whose verdict settles a clause")] = None,
    workspace: Annotated[str | None, Option(help="on the server; its users see the round (review)")] = None,
    seconds: Annotated[float, Option(min=1, help="an expert's time for one clause, for the estimate")] = 30,
    seed: Seed = 0,
    dry_run: Annotated[bool, Option("--dry-run", help="say what would be asked, and send nothing")] = False,
    yes: Annotated[bool, Option("--yes", help="do not ask before it is sent")] = False,
) -> None:
    """Draw clauses for a round of review and send them to an Argilla server.

    The server is that of ARGILLA_API_URL and ARGILLA_API_KEY, else the one that `annotate serve` runs in this folder.

    Example: synthpert annotate push --name round-1 --sample 40 --by grade,label --planted 0.1
    """
    store = open_store(ctx)
    from annotation import push as work
    from annotation.sampling import Scheme

    columns = tuple(column.strip() for column in by.split(",")) if by else ()
    scheme = Scheme(sample, columns, seed, where, everybody, planted)
    ready = work.prepare(store, name, scheme, annotators, work.Files(predictions, planted_file, names), seconds)
    if dry_run:
        return result(ctx, ready.plan, _plan(ready.plan))
    if not yes:
        _ask(_plan(ready.plan))
    elif not ctx.obj["json"]:
        say(ctx, _plan(ready.plan))
    done = work.push(store, ready, workspace, last_word, quiet=ctx.obj["quiet"])
    bad = "".join(f"\nrefused {row['clause_id']}: {row['why']}" for row in done["refused"])
    result(ctx, done, f"{name}: {done['sent']:,} clauses sent; {done['on_server']:,} on {done['server']}{bad}")
    say_next(ctx, f"synthpert annotate link {name}")


def _plan(plan: dict[str, Any]) -> str:
    others = plan["clauses"] - plan["everybody"]
    few = plan["planted"] < plan["planted_wanted"]
    short = f" ({plan['planted_wanted']:,} wanted, but no more say a direction in a sound text)" if few else ""
    lines = [
        f"{plan['clauses']:,} clauses of {plan['texts']:,} texts, {plan['planted']:,} of them planted{short}",
        f"{others:,} by {plan['annotators']} experts each: {_time(plan['minutes'])} of expert time in all",
        f"{plan['everybody']:,} by everybody: {_time(plan['minutes_each'])} for each expert",
        f"(at {plan['seconds']:g} seconds a clause)",
    ]
    return "\n".join([*lines, *(["", table(plan["strata"])] if plan["strata"] else [])])


def _time(minutes: int) -> str:
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def _ask(plan: str) -> None:
    if not sys.stdin.isatty():
        raise BadInput("nobody is there to be asked: say --yes to send it, --dry-run to see what it would be")
    typer.echo(plan, err=True)
    if not typer.confirm("Send it?", err=True):
        raise Interrupted("nothing was sent")


RoundName = Annotated[str, Argument(help="name of the round")]


def link(
    ctx: typer.Context,
    name: RoundName,
    parts: Annotated[int, Option(min=1, help="share the round out: so many links, each with its own traces")] = 1,
) -> None:
    """Print the addresses to hand to the experts of a round.

    What everybody judges comes first, so that agreement is known early.

    Example: synthpert annotate link round-1 --parts 3
    """
    store = open_store(ctx)
    from annotation.watching import links

    found = links(store, name, parts)
    result(ctx, found, "\n".join(f"{row['part']} ({row['clauses']:,} clauses): {row['url']}" for row in found))


def status(ctx: typer.Context, name: RoundName) -> None:
    """Tell how far a round is, and who has judged how much.

    Example: synthpert annotate status round-1
    """
    store = open_store(ctx)
    from annotation.watching import status as work

    found = work(store, name)
    lines = [
        f"{name}: {found['percent']:g} % ({found['verdicts']:,} of {found['wanted']:,} verdicts)",
        f"{found['clauses']:,} clauses: {found['complete']:,} complete, {found['short']:,} want another opinion,"
        f" {found['untouched']:,} untouched",
    ]
    if found["on_server"] < found["clauses"]:
        lines.append(f"{found['on_server']:,} of them are on the server: type its push again")
    result(ctx, found, "\n".join([*lines, "", table(found["by"])]))


def pull(ctx: typer.Context, name: RoundName) -> None:
    """Bring the experts' answers of a round into the store.

    Again and again: each answer is kept once, and each change of mind beside what it changed.

    Example: synthpert annotate pull round-1
    """
    store = open_store(ctx)
    from annotation.pull import pull as work

    done = work(store, name)
    stand = ", ".join(f"{done[s]:,} {s}" for s in ("submitted", "draft", "discarded", "deleted"))
    lines = [f"{name}: {done['new']:,} new answers; now {stand}"]
    lines += [f"{len(done['gone']):,} clauses are not on the server any more"] if done["gone"] else []
    lines += [f"not of this round: record {row['external_id']}, {row['answers']} answers" for row in done["unknown"]]
    result(ctx, done, "\n".join(lines))


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
