"""The command that asks a model about a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from curation.commands.options import Model, Param, Prompts, Samples, Seed, habits, open_store, params_of, takes
from curation.errors import BadInput, Interrupted
from curation.printing import result, say

ENGINES = ("openai", "transformers")


@takes(how=habits)
def predict(
    ctx: typer.Context,
    dataset: Annotated[str, Argument(help="the folder of a version, or ORG/REPO@TAG on the Hub")],
    model: Model,
    out: Annotated[Path, Option(help="Parquet file to write")],
    split: Annotated[str, Option(help="split of the dataset")] = "default",
    side: Annotated[str, Option(help="test, validation or train")] = "test",
    task: Annotated[str, Option(help="three-class or direction")] = "three-class",
    base_url: Annotated[str | None, Option(help="address of the model, before OPENAI_BASE_URL")] = None,
    engine: Annotated[str, Option(help="openai: any endpoint of that form; transformers: in this process")] = "openai",
    adapter: Annotated[Path | None, Option(help="a trained adapter, with --engine transformers")] = None,
    sample: Annotated[int | None, Option(min=1, help="so many of the examples, drawn by --seed")] = None,
    seed: Seed = 0,
    samples: Samples = 1,
    blind_symbols: Annotated[bool, Option("--blind-symbols", help="replace gene symbols by codes")] = False,
    param: Param = None,
    prompts: Prompts = None,
    *,
    how: Any,
) -> None:
    """Ask a model about a side of a dataset.

    Replies are kept in the store, which is made if there is none: what is known is not asked again. With --engine
    transformers, --concurrency is the rows of a batch.

    Example: synthpert predict perturb-traces-1.0.0 --model my-model --sample 2000 --out predictions.parquet
    """
    from curation.asking.requests import endpoint
    from curation.published import open_dataset
    from eval.predict import predict as work
    from eval.tasks import Wanted

    wanted = Wanted(split, side, task, sample, seed, blind_symbols, prompts)
    found, params = open_dataset(dataset), params_of(param)
    _check(engine, adapter, base_url)
    if engine == "transformers":
        from eval.local import load

        local = load(model, adapter, params, samples)
        target, asking = local.endpoint, local.ask
    else:
        target, asking = endpoint(model, params, base_url=base_url), None
    store = open_store(ctx, create=True)
    done = work(store, found, target, wanted, out, samples=samples, how=how, engine=asking)
    result(ctx, done._asdict(), _summary(done))
    if done.stopped:
        raise Interrupted(f"stopped: {done.stopped}; the same command goes on from here")
    # the store that keeps the replies need not be the one that the dataset was built from, so it is not named here
    say(ctx, f"next: synthpert score {out} --dataset {dataset}")


def _check(engine: str, adapter: Path | None, base_url: str | None) -> None:
    if engine not in ENGINES:
        raise BadInput(f"--engine {engine}: not one of {', '.join(ENGINES)}")
    if engine == "openai" and adapter is not None:
        raise BadInput("--adapter: with --engine transformers alone; a server has its own way to name an adapter")
    if engine == "transformers" and base_url is not None:
        raise BadInput("--base-url: with --engine openai alone")


def _summary(done: Any) -> str:
    cost = f", ${done.usd:.2f}" if done.usd else ""
    lines = [
        f"{done.predicted:,} of {done.examples:,} examples predicted by {done.model}: {done.dataset}, {done.split}, "
        f"{done.side}, {done.task} -> {done.out or 'nothing written'}",
        f"requests: {done.answered:,} answered{cost}, {done.cached:,} known before, {done.failed:,} failed, "
        f"{done.left:,} left",
        f"no answer: {done.abstained:,} I do not know, {done.unread:,} not readable; scores: {done.score_kind}",
    ]
    return "\n".join(lines)
