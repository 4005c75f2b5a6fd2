"""Options that several commands take: the set, the model, how to ask; each group is a function that makes one value."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from typer import Option

from curation import interrupts
from curation.config import OURS, store_place
from curation.errors import BadInput

Seed = Annotated[int, Option(help="another seed is another order")]
Shard = Annotated[str, Option(metavar="I/N", help="the I-th of N parts, I from 1 to N, for several machines")]
Prompts = Annotated[Path | None, Option(help="folder of your own prompt files")]
Samples = Annotated[int, Option(min=1, max=1000, help="answers for each")]
Set = Annotated[list[str] | None, Option("--set", metavar="NAME=VALUE", help="a parameter of the recipe, e.g. n=500")]
Concurrency = Annotated[int, Option(min=1, max=2000, help="requests in flight")]


def takes(**groups: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of a group in the place of one parameter, which gets what the group makes of them.

    Args:
        groups: parameter of the command -> a function whose own parameters are options.
    """

    def around(command: Callable[..., None]) -> Callable[..., None]:
        names = {group: list(inspect.signature(make).parameters) for group, make in groups.items()}

        @wraps(command)
        def call(**given: Any) -> None:
            made = {group: groups[group](**{n: given[n] for n in own}) for group, own in names.items()}
            shared = {n for own in names.values() for n in own} - inspect.signature(command).parameters.keys()
            command(**{n: v for n, v in given.items() if n not in shared}, **made)

        found: dict[str, inspect.Parameter] = {}
        for name, parameter in inspect.signature(command).parameters.items():
            inside = inspect.signature(groups[name]).parameters if name in groups else {name: parameter}
            found |= {n: p.replace(kind=p.KEYWORD_ONLY) for n, p in inside.items()}
        hints = {n: t for f in (*groups.values(), command) for n, t in get_type_hints(f, include_extras=True).items()}
        call.__annotations__ = {n: hints[n] for n in found}
        call.__signature__ = inspect.Signature([p.replace(annotation=hints[n]) for n, p in found.items()])  # type: ignore[attr-defined]
        return call

    return around


def the_set(
    split: Annotated[str, Option(help="default, rpe1_holdout or unseen_pert; its train side is asked")] = "default",
    fraction: Annotated[float, Option(min=0.0, max=1.0, help="share of the set, from 0 to 1")] = 1.0,
    limit: Annotated[int | None, Option(min=1, help="at most so many examples")] = None,
    per_label: Annotated[int | None, Option(min=1, help="at most so many examples of each label")] = None,
    cell_line: Annotated[str | None, Option(help="K562, RPE1, HepG2 or Jurkat")] = None,
    seed: Seed = 0,
    shard: Annotated[
        str, Option(metavar="I/N", help="the I-th of N parts, I from 1 to N, for several machines")
    ] = "1/1",
) -> Any:
    """Return the Selection that the options name."""
    from curation.selection import Selection

    return Selection(split, fraction, limit, per_label, cell_line, seed, _shard(shard))


Model = Annotated[str, Option(help="model name, as its server knows it")]
Param = Annotated[list[str] | None, Option(metavar="KEY=VALUE", help="e.g. reasoning_effort=medium")]


def the_model(model: Model, param: Param = None) -> Any:
    """Return the Endpoint of a model, with the parameters of its answers."""
    from curation.asking.requests import endpoint

    return endpoint(model, params_of(param))


def the_host(model: Model, param: Param = None) -> Any:
    """Return the Endpoint of a model that is not going to be asked, so that it needs no key."""
    from curation.asking.requests import endpoint

    return endpoint(model, params_of(param), keyless=True)


def habits(
    ctx: typer.Context,
    concurrency: Concurrency = 64,
    timeout: Annotated[float, Option(min=0.1, help="seconds for one try")] = 600.0,
    retry_failed: Annotated[bool, Option("--retry-failed", help="ask again what would fail again")] = False,
    budget_usd: Annotated[float | None, Option(min=0.0, help="dollars that this run may spend at most")] = None,
    max_requests: Annotated[int | None, Option(min=1, help="requests that this run may send at most")] = None,
) -> Any:
    """Return how to ask: limits and habits."""
    from curation.asking.stage import How

    return How(concurrency, timeout, retry_failed, ctx.obj["quiet"], budget_usd, max_requests)


def open_store(ctx: typer.Context, *, create: bool = False) -> Any:
    """Return the store that the command line names."""
    with interrupts.held_back():  # one that strikes while a native library starts up crashes it
        import deltalake  # noqa: F401
        import duckdb  # noqa: F401

        from curation.store import Store
    return Store(store_place(ctx.obj["store"]), create=create)


def _shard(text: str) -> tuple[int, int]:
    try:
        i, n = (int(part) for part in text.split("/"))
    except ValueError:
        raise BadInput(f"--shard {text}: wanted I/N, such as 3/8") from None
    if not 0 <= i <= n or n < 1:
        raise BadInput(f"--shard {text}: wanted I/N with I up to N")
    return i % n, n


def settings(given: list[str] | None) -> dict[str, str]:
    """Return the recipe parameters that --set names; what each may be, the recipe says.

    Raises:
        BadInput: one is no NAME=VALUE, or set twice.
    """
    found: dict[str, str] = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        name = name.strip().removeprefix("$")
        if not (name and equals) or name in found:
            raise BadInput(f"--set {pair}: {'set twice' if equals and name in found else 'wanted NAME=VALUE'}")
        found[name] = value
    return found


def params_of(given: list[str] | None) -> dict[str, Any]:
    """Return the parameters of the answer that --param names; a value that is no JSON is a text.

    Raises:
        BadInput: one is no KEY=VALUE, or is not a parameter of the answer.
    """
    found = {}
    for pair in given or ():
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise BadInput(f"--param {pair}: wanted KEY=VALUE")
        if key in OURS:
            raise BadInput(f"--param {pair}: {key} is not a parameter of the answer")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found
