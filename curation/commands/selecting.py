"""Commands that select traces and write versions: what recipes there are, what one would select, and the build."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer
from typer import Argument, Option

from curation.commands.options import Prompts, Set, open_store, settings
from curation.printing import result, say_next, table

RecipeName = Annotated[str, Argument(help="a shipped recipe, or the path of an own .sql file")]


def recipes(ctx: typer.Context) -> None:
    """List the recipes, shipped and your own, with their parameters.

    Your own are the .sql files in this folder and in its folder recipes.

    Example: synthpert recipes
    """
    from curation.recipes import listed

    found = listed(Path())
    result(ctx, found, "\n".join(map(_recipe, found)))


def _recipe(row: dict[str, Any]) -> str:
    lines = [f"{row['recipe']}: {row['problem'] or row['about']}"]
    for p in row["parameters"]:
        value = quote(f"{p['name']}={p['default']}")
        lines.append(f"  --set {value}  {p['about']}".rstrip())
    return "\n".join(lines)


def preview(ctx: typer.Context, recipe: RecipeName, values: Set = None) -> None:
    """Count what a recipe would select; writes nothing.

    Example: synthpert preview thirds
    """
    from curation.preview import preview as work

    found = work(open_store(ctx), recipe, settings(values))
    head = " ".join([found.recipe, *(f"--set {quote(f'{k}={v}')}" for k, v in found.params.items())])
    result(ctx, found._asdict(), f"{head}: {found.about}\n\n{table(found.by)}\n\n{table(found.totals)}")
    again = "".join(f" --set {quote(pair)}" for pair in values or ())
    say_next(ctx, f"synthpert build {quote(recipe)}{again} --name NAME")


def build(
    ctx: typer.Context,
    recipe: RecipeName,
    name: Annotated[str, Option(help="name of the dataset")],
    out: Annotated[Path | None, Option(help="folder to write; default ./NAME-VERSION")] = None,
    version: Annotated[str | None, Option(help="semantic version; default the next")] = None,
    values: Set = None,
    prompts: Prompts = None,
) -> None:
    """Write what a recipe selects as a dataset's next version.

    Example: synthpert build excellent --name perturb-traces --out perturb-traces-1.0.0
    """
    from curation.versions import build as work

    built = work(open_store(ctx), recipe, name, out=out, version=version, prompts=prompts, params=settings(values))
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
    empty = {c for c in ("params", "published_to", "commit_sha") if not any(r[c] for r in rows)}
    result(ctx, rows, table([{k: v for k, v in r.items() if k not in empty} for r in short]))


def diff(
    ctx: typer.Context,
    a: Annotated[str, Argument(metavar="A", help="NAME@VERSION; NAME@latest and NAME are its newest")],
    b: Annotated[str, Argument(metavar="B", help="the same; or a recipe, for what it would select now")],
    values: Set = None,
    html: Annotated[bool, Option("--html", help="write it as a page as well")] = False,
    out: Annotated[Path, Option(help="the page to write")] = Path("diff.html"),
) -> None:
    """Tell what differs between two versions, and for each row what decided.

    Example: synthpert diff perturb-traces@1.0.0 perturb-traces@latest
    """
    from curation.comparing import page, text
    from curation.diff import diff as work

    found = work(open_store(ctx), a, b, params=settings(values))
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
