"""The commands of this room: each parses, calls one function, prints. The result goes to stdout, all else to stderr."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from curation import interrupts
from curation.config import store_place
from curation.errors import BadInput, Interrupted
from curation.printing import result, say, say_next, table

Split = Annotated[str, Option(help="default or rpe1_holdout; its train side is asked")]
Fraction = Annotated[float, Option(min=0.0, max=1.0, help="share of the set, from 0 to 1")]
Limit = Annotated[int | None, Option(min=1, help="at most so many examples")]
PerLabel = Annotated[int | None, Option(min=1, help="at most so many examples of each label")]
CellLine = Annotated[str | None, Option(help="K562, RPE1, HepG2 or Jurkat")]
Seed = Annotated[int, Option(help="another seed is another order")]
Shard = Annotated[str, Option(metavar="I/N", help="the I-th of N parts, I from 1 to N, for several machines")]
Model = Annotated[str, Option(help="model name, as its server knows it")]
Concurrency = Annotated[int, Option(min=1, max=2000, help="requests in flight")]
Samples = Annotated[int, Option(min=1, max=1000, help="answers for each")]
Timeout = Annotated[float, Option(min=0.1, help="seconds for one try")]
Param = Annotated[list[str] | None, Option(metavar="KEY=VALUE", help="e.g. reasoning_effort=medium")]
Prompts = Annotated[Path | None, Option(help="folder of your own prompt files")]
RetryFailed = Annotated[bool, Option("--retry-failed", help="ask again what would fail again")]


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
    done = work(_store(ctx, create=True), path)
    for name in done.skipped:
        say(ctx, f"skipped {name}: sets of genes, not a cell line")
    lines = [f"{done.examples:,} examples ({done.with_direction:,} with a direction), {done.new:,} new"]
    result(ctx, done._asdict(), "\n".join([*lines, table(done.by)]))
    say_next(ctx, "synthpert generate --split default --limit 10 --model MODEL")


def init(ctx: typer.Context) -> None:
    """Write a commented synthpert.toml.

    Example: synthpert init
    """
    from curation.config import write_default

    file = write_default()
    result(ctx, {"file": str(file)}, f"{file}: every setting with what it does; all of it is optional")


def plan(
    ctx: typer.Context,
    model: Model,
    split: Split = "default",
    fraction: Fraction = 1.0,
    limit: Limit = None,
    per_label: PerLabel = None,
    cell_line: CellLine = None,
    seed: Seed = 0,
    shard: Shard = "1/1",
    approach: Annotated[str, Option(help="explain, blind or control")] = "explain",
    samples: Samples = 1,
    concurrency: Concurrency = 64,
    param: Param = None,
    prompts: Prompts = None,
) -> None:
    """Tell what a generate would ask and cost; sends nothing.

    Example: synthpert plan --split default --fraction 0.15 --model o4-mini
    """
    from curation.asking import prices
    from curation.asking.requests import endpoint
    from curation.plan import plan as work
    from curation.selection import Selection

    chosen = Selection(split, fraction, limit, per_label, cell_line, seed, _shard(shard))
    target = endpoint(model, _params(param), keyless=True)
    found = work(
        _store(ctx), chosen, target, approach=_approach(approach), samples=samples, prompts=prompts,
        concurrency=concurrency,
    )  # fmt: skip
    cost = f"${found.usd:,.2f}" if found.usd is not None else "unknown (no price for this model at this host)"
    basis = "the median of this model's answers here" if found.measured else "assuming 1,000 an answer"
    hours = "unknown" if found.hours is None else f"{found.hours:.1f} h with {concurrency} in flight"
    text = f"""{found.requests:,} requests to {found.host}, {found.known:,} more are answered already
{found.tokens_in:,} tokens in, {found.tokens_out:,} tokens out ({basis})
cost: {cost}; shipped prices are of {prices.as_of()}
time: {hours}
{table(found.by)}"""
    result(ctx, found._asdict(), text)


def generate(
    ctx: typer.Context,
    model: Model,
    split: Split = "default",
    fraction: Fraction = 1.0,
    limit: Limit = None,
    per_label: PerLabel = None,
    cell_line: CellLine = None,
    seed: Seed = 0,
    shard: Shard = "1/1",
    approach: Annotated[str, Option(help="explain, blind or control")] = "explain",
    samples: Samples = 1,
    concurrency: Concurrency = 64,
    timeout: Timeout = 600.0,
    param: Param = None,
    prompts: Prompts = None,
    retry_failed: RetryFailed = False,
) -> None:
    """Ask a model for a trace of each example of a set.

    What is answered already is not asked again: the same command goes on where it stopped.

    Example: synthpert generate --split default --fraction 0.15 --approach explain --model o4-mini
    """
    from curation.asking.requests import endpoint
    from curation.selection import Selection
    from curation.traces import generate as work

    chosen = Selection(split, fraction, limit, per_label, cell_line, seed, _shard(shard))
    done = work(
        _store(ctx),
        chosen,
        endpoint(model, _params(param)),
        approach=_approach(approach),
        samples=samples,
        prompts=prompts,
        how=_how(ctx, concurrency, timeout, retry_failed),
    )
    _asked(ctx, "traces", done, "synthpert grade --model MODEL")


def grade(
    ctx: typer.Context,
    model: Model,
    split: Split = "default",
    fraction: Fraction = 1.0,
    limit: Limit = None,
    per_label: PerLabel = None,
    cell_line: CellLine = None,
    seed: Seed = 0,
    shard: Shard = "1/1",
    approach: Annotated[str | None, Option(help="only the traces of explain, blind or control")] = None,
    correct_only: Annotated[bool, Option("--correct-only", help="leave out traces whose answer is wrong")] = False,
    samples: Samples = 1,
    concurrency: Concurrency = 64,
    timeout: Timeout = 600.0,
    param: Param = None,
    prompts: Prompts = None,
    retry_failed: RetryFailed = False,
) -> None:
    """Ask a critic to grade the valid traces it has not graded yet.

    Example: synthpert grade --split default --model o4-mini --correct-only
    """
    from curation.asking.requests import endpoint
    from curation.grades import grade as work
    from curation.selection import Selection

    chosen = Selection(split, fraction, limit, per_label, cell_line, seed, _shard(shard))
    done = work(
        _store(ctx),
        chosen,
        endpoint(model, _params(param)),
        approach=approach,
        correct_only=correct_only,
        samples=samples,
        prompts=prompts,
        how=_how(ctx, concurrency, timeout, retry_failed),
    )
    _asked(ctx, "grades", done, "synthpert sql 'FROM funnel'")


def sql(
    ctx: typer.Context,
    query: Annotated[str, Argument(help="one SELECT; tables are raw.NAME, views NAME")],
) -> None:
    """Answer one SELECT over the store's tables and views.

    Example: synthpert sql "SELECT grade, count(*) FROM traces GROUP BY grade"
    """
    from curation.locked import ask, locked, rows

    with locked(_store(ctx)) as con:
        found = rows(ask(con, query))
    result(ctx, found, table(found))


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

    built = work(_store(ctx), recipe, name, out=out, version=version, prompts=prompts)
    head = f"{built.name} {built.version} -> {built.out}"
    if not built.written:
        head = f"{built.name} {built.version} holds these rows already: nothing written (--version writes anyway)"
    facts = built._asdict()
    facts.pop("written")
    result(ctx, facts, f"{head}\n{table(built.rows)}")
    if built.written:
        say_next(ctx, f'python -c "from datasets import load_dataset; print(load_dataset({built.out!r}))"')


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

    done = work(_store(ctx), run_id=run, where=where, reason=reason, undo=undo)
    what = f"{done.n:,} {done.kind}{'s' if done.n > 1 else ''}"
    result(ctx, done._asdict(), f"{what} {'hidden from' if done.hidden else 'shown again in'} every view")


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
        found = lineage.lineage(_store(ctx), trace_id)
        return result(ctx, found, lineage.text(found))
    rows = sampling.show_sample(_store(ctx), sample or 0, where, seed=seed, out=out if html else None)
    if html:
        return result(ctx, {"out": str(out), "traces": rows}, str(out))
    result(ctx, rows, sampling.text(rows))


def report(
    ctx: typer.Context,
    out: Annotated[Path, Option(help="the page to write")] = Path("report.html"),
    seed: Seed = 0,
) -> None:
    """Write a page about the store: funnel, grades, spend, critics, traces.

    It is one file that needs no network and no script.

    Example: synthpert report --out report.html
    """
    from curation.report import report as work

    done = work(_store(ctx), out, seed=seed)
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


def _store(ctx: typer.Context, *, create: bool = False) -> Any:
    with interrupts.held_back():  # one that strikes while a native library starts up crashes it
        import deltalake  # noqa: F401
        import duckdb  # noqa: F401

        from curation.store import Store
    return Store(store_place(ctx.obj["store"]), create=create)


def _how(ctx: typer.Context, concurrency: int, timeout: float, retry_failed: bool) -> Any:
    from curation.asking.stage import How

    return How(concurrency, timeout, retry_failed, ctx.obj["quiet"])


def _approach(name: str) -> str:
    from curation.traces import APPROACHES

    if name not in APPROACHES:
        raise BadInput(f"--approach {name}: not one of {', '.join(APPROACHES)}")
    return name


def _shard(text: str) -> tuple[int, int]:
    try:
        i, n = (int(part) for part in text.split("/"))
    except ValueError:
        raise BadInput(f"--shard {text}: wanted I/N, such as 3/8") from None
    if not 0 <= i <= n or n < 1:
        raise BadInput(f"--shard {text}: wanted I/N with I up to N")
    return i % n, n


def _params(given: list[str] | None) -> dict[str, Any]:
    found = {}
    for pair in given or ():
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise BadInput(f"--param {pair}: wanted KEY=VALUE")
        if key in ("messages", "model", "stream"):
            raise BadInput(f"--param {pair}: {key} is not a parameter of the answer")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def _asked(ctx: typer.Context, what: str, done: Any, then: str) -> None:
    cost = "cost unknown (no price in synthpert.toml)" if done.usd is None else f"${done.usd:.2f}"
    text = f"{done.answered:,} answered and {done.cached:,} known before, {done.failed:,} failed, {done.left:,} left"
    text += f"; {cost}"
    result(ctx, done.json(), text)
    if done.stopped:
        raise Interrupted(f"{done.stopped}: {done.left:,} {what} are left; the same command goes on from here")
    say_next(ctx, then)
