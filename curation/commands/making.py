"""Commands that make traces: settings, the benchmark, the plan, the answers and their grades."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from curation.commands.options import (
    Concurrency,
    Prompts,
    Samples,
    Seed,
    habits,
    open_store,
    takes,
    the_host,
    the_model,
    the_set,
)
from curation.errors import BadInput, Interrupted
from curation.printing import result, say, say_next, table


def init(ctx: typer.Context) -> None:
    """Write a commented synthpert.toml.

    Example: synthpert init
    """
    from curation.config import write_default

    file = write_default()
    result(ctx, {"file": str(file)}, f"{file}: every setting with what it does; all of it is optional")


def ingest(
    ctx: typer.Context,
    path: Annotated[Path, Argument(help="folder of PerturbQA's *-de.csv and *-dir.csv files")] = Path("perturbqa"),
    download: Annotated[bool, Option("--download", help="fetch the authors' files into the folder first")] = False,
    base_url: Annotated[str | None, Option(help="another address of those files, for --download")] = None,
) -> None:
    """Read a benchmark's files into the store.

    --download fetches PerturbQA at a pinned commit and checks each file; its licence is non-commercial.

    Example: synthpert ingest perturbqa/datasets
    """
    from curation.download import BASE_URL
    from curation.download import download as fetch
    from curation.examples import ingest as work

    if download:
        fetch(path, base_url or BASE_URL, lambda line: say(ctx, line))
    done = work(open_store(ctx, create=True), path)
    for name in done.skipped:
        say(ctx, f"skipped {name}: sets of genes, not a cell line")
    lines = [f"{done.examples:,} examples ({done.with_direction:,} with a direction), {done.new:,} new"]
    result(ctx, done._asdict(), "\n".join([*lines, table(done.by)]))
    say_next(ctx, "synthpert generate --split default --limit 10 --model MODEL")


@takes(target=the_host, chosen=the_set)
def plan(
    ctx: typer.Context,
    *,
    target: Any,
    chosen: Any,
    approach: Annotated[str, Option(help="explain, blind or control")] = "explain",
    samples: Samples = 1,
    concurrency: Concurrency = 64,
    prompts: Prompts = None,
    grade: Annotated[str | None, Option(metavar="MODEL", help="and what this critic would cost on top")] = None,
) -> None:
    """Tell what a generate would ask and cost; sends nothing.

    Example: synthpert plan --split default --fraction 0.15 --model o4-mini --grade o4-mini
    """
    from curation.plan import plan as work

    critic = the_host(grade) if grade else None
    found = work(
        open_store(ctx), chosen, target, approach=_approach(approach), samples=samples, prompts=prompts,
        concurrency=concurrency, critic=critic,
    )  # fmt: skip
    parts = [_estimate(found, concurrency, after=f", {found.known:,} more are answered already")]
    if found.grading:
        parts.append(_estimate(found.grading, concurrency, before="grading: at most "))
    grading = found.grading and found.grading._asdict()
    result(ctx, {**found._asdict(), "grading": grading}, "\n".join([*parts, table(found.by)]))


def _estimate(found: Any, concurrency: int, before: str = "", after: str = "") -> str:
    """Return requests, tokens, dollars and hours as lines."""
    from curation.asking import prices

    cost = f"${found.usd:,.2f}" if found.usd is not None else "unknown (no price for this model at this host)"
    basis = "the median of this model's answers here" if found.measured else "assuming 1,000 an answer"
    unknown = "unknown until this model has answered 20 times here"
    hours = unknown if found.hours is None else f"{found.hours:.1f} h with {concurrency} in flight"
    return f"""{before}{found.requests:,} requests to {found.host}{after}
{found.tokens_in:,} tokens in, {found.tokens_out:,} tokens out ({basis})
cost: {cost}; shipped prices are of {prices.as_of()}
time: {hours}"""


@takes(target=the_model, chosen=the_set, how=habits)
def generate(
    ctx: typer.Context,
    *,
    target: Any,
    chosen: Any,
    approach: Annotated[str, Option(help="explain, blind or control")] = "explain",
    samples: Samples = 1,
    how: Any,
    prompts: Prompts = None,
    grade: Annotated[str | None, Option(metavar="MODEL", help="have this critic grade each trace as it comes")] = None,
    correct_only: Annotated[bool, Option("--correct-only", help="with --grade: right answers alone")] = False,
) -> None:
    """Ask a model for a trace of each example of a set.

    What is answered already is not asked again: the same command goes on where it stopped.

    Example: synthpert generate --split default --fraction 0.15 --model o4-mini --budget-usd 50 --grade o4-mini
    """
    from curation.traces import generate as work

    more = {"approach": _approach(approach), "samples": samples, "prompts": prompts, "how": how}
    if grade is None:
        if correct_only:
            raise BadInput("--correct-only: with --grade alone; every trace is kept")
        return _asked(ctx, "traces", work(open_store(ctx), chosen, target, **more), "synthpert grade --model MODEL")
    from curation.asking.requests import endpoint
    from curation.overlap import generate_and_grade

    critic = endpoint(grade)
    made, graded = generate_and_grade(open_store(ctx), chosen, target, critic, correct_only=correct_only, **more)
    text = f"traces: {_count(made)}\ngrades: {_count(graded)}"
    result(ctx, {**made.json(), "graded": graded.json()}, text)
    _stopped("traces and grades", made, graded)
    say_next(ctx, "synthpert sql 'FROM funnel'")


@takes(target=the_model, chosen=the_set, how=habits)
def grade(
    ctx: typer.Context,
    *,
    target: Any,
    chosen: Any,
    approach: Annotated[str | None, Option(help="only the traces of explain, blind or control")] = None,
    correct_only: Annotated[bool, Option("--correct-only", help="leave out traces whose answer is wrong")] = False,
    samples: Samples = 1,
    how: Any,
    prompts: Prompts = None,
) -> None:
    """Ask a critic to grade the valid traces it has not graded yet.

    Example: synthpert grade --split default --model o4-mini --correct-only
    """
    from curation.grades import grade as work

    done = work(
        open_store(ctx),
        chosen,
        target,
        approach=approach,
        correct_only=correct_only,
        samples=samples,
        prompts=prompts,
        how=how,
    )
    _asked(ctx, "grades", done, "synthpert sql 'FROM funnel'")


def rehearse(
    ctx: typer.Context,
    port: Annotated[int, Option(min=0, max=65535, help="0 takes a free one")] = 8000,
    latency: Annotated[float, Option(min=0.0, help="seconds before each answer")] = 0.0,
    fail: Annotated[float, Option(min=0.0, max=1.0, help="share of calls that fail")] = 0.0,
    malformed: Annotated[float, Option(min=0.0, max=1.0, help="share of answers out of form")] = 0.0,
    seed: Seed = 0,
) -> None:
    """Serve a scripted model on 127.0.0.1, free and offline.

    It speaks the OpenAI API under http://127.0.0.1:PORT/v1 and answers to any model name.

    Example: synthpert rehearse --port 8000 --fail 0.1
    """
    from curation.rehearsal.server import run_forever

    try:
        run_forever(port, latency=latency, fail=fail, malformed=malformed, seed=seed)
    except OSError as e:
        raise BadInput(f"--port {port}: {e.strerror or e}") from e


def _approach(name: str) -> str:
    from curation.traces import APPROACHES

    if name not in APPROACHES:
        raise BadInput(f"--approach {name}: not one of {', '.join(APPROACHES)}")
    return name


def _asked(ctx: typer.Context, what: str, done: Any, then: str) -> None:
    result(ctx, done.json(), _count(done))
    _stopped(what, done)
    say_next(ctx, then)


def _count(done: Any) -> str:
    cost = "cost unknown (no price in synthpert.toml)" if done.usd is None else f"${done.usd:.2f}"
    counts = f"{done.answered:,} answered and {done.cached:,} known before, {done.failed:,} failed, {done.left:,} left"
    return f"{counts}; {cost}"


def _stopped(what: str, *done: Any) -> None:
    if why := next((d.stopped for d in done if d.stopped), None):
        left = sum(d.left for d in done)
        raise Interrupted(f"{why}: {left:,} {what} are left; the same command goes on from here")
