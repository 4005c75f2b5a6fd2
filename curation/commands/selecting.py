"""Commands that select traces and write versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from curation.commands.options import Prompts, open_store
from curation.printing import result, say_next, table


def build(
    ctx: typer.Context,
    recipe: Annotated[str, Argument(help="a shipped recipe, or the path of an own .sql file")],
    name: Annotated[str, Option(help="name of the dataset")],
    out: Annotated[Path | None, Option(help="folder to write; default ./NAME-VERSION")] = None,
    version: Annotated[str | None, Option(help="semantic version; default the next")] = None,
    prompts: Prompts = None,
) -> None:
    """Write what a recipe selects as a dataset's next version.

    Example: synthpert build excellent --name perturb-traces --out perturb-traces-1.0.0
    """
    from curation.versions import build as work

    built = work(open_store(ctx), recipe, name, out=out, version=version, prompts=prompts)
    head = f"{built.name} {built.version} -> {built.out}"
    if not built.written:
        head = f"{built.name} {built.version} holds these rows already: nothing written (--version writes anyway)"
    facts = built._asdict()
    facts.pop("written")
    result(ctx, facts, f"{head}\n{table(built.rows)}")
    if built.written:
        say_next(ctx, f'python -c "from datasets import load_dataset; print(load_dataset({built.out!r}))"')


def versions(ctx: typer.Context) -> None:
    """List the versions that were built.

    Example: synthpert versions
    """
    from curation.named import listed

    rows = listed(open_store(ctx))
    short = [{**r, "row_hash": r["row_hash"][:12], "created": f"{r['created']:%Y-%m-%d %H:%M}"} for r in rows]
    result(ctx, rows, table(short))


def diff(
    ctx: typer.Context,
    a: Annotated[str, Argument(metavar="A", help="NAME@VERSION; NAME@latest and NAME are its newest")],
    b: Annotated[str, Argument(metavar="B", help="the same; or a recipe, for what it would select now")],
    html: Annotated[bool, Option("--html", help="write it as a page as well")] = False,
    out: Annotated[Path, Option(help="the page to write")] = Path("diff.html"),
) -> None:
    """Tell what differs between two versions, and for each row what decided.

    Example: synthpert diff perturb-traces@1.0.0 perturb-traces@latest
    """
    from curation.comparing import page, text
    from curation.diff import diff as work

    found = work(open_store(ctx), a, b)
    facts = found._asdict()
    if html:
        page(found, out)
        facts["out"] = str(out)
    result(ctx, facts, text(found) + (f"\n\n{out}" if html else ""))


def rebuild(
    ctx: typer.Context,
    version: Annotated[str, Argument(metavar="NAME@VERSION", help="a version of the store; NAME alone is the newest")],
    out: Annotated[Path | None, Option(help="folder to write; default ./NAME-VERSION")] = None,
) -> None:
    """Write a version again from the store as it was, and prove that it is the same.

    Example: synthpert rebuild perturb-traces@1.0.0 --out again
    """
    from curation.rebuild import rebuild as work

    done = work(open_store(ctx), version, out=out)
    text = f"{done.name} {done.version} -> {done.out}: "
    if done.identical:
        text += "the same bytes"
    else:
        text += f"the same rows; other bytes in {', '.join(done.differs)}"
    result(ctx, done._asdict(), f"{text}\n{table(done.rows)}")


def check(
    ctx: typer.Context,
    listing: Annotated[
        str | None, Option("--list", metavar="NAME", help="print what this check found, with the words that caused it")
    ] = None,
) -> None:
    """Look in the traces for leaks, missing genes, contradictions and the like.

    Traces that were checked before are not checked again; a stopped run goes on where it was.

    Example: synthpert check --list answer_leak
    """
    from curation.checks import running

    store = open_store(ctx)
    if listing is not None:
        found = running.listed(store, listing)
        return result(ctx, found, table(found))
    done = running.check(store, quiet=ctx.obj["quiet"])
    head = f"{done['checked']:,} traces checked now, {done['traces']:,} in all, by version {done['version']}"
    result(ctx, done, f"{head}\n{table(done['by'])}")
    if any(r["found"] for r in done["by"]):
        say_next(ctx, f"synthpert check --list {max(done['by'], key=lambda r: r['found'])['check']}")
