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
