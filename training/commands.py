"""The commands `render`, `train`, `merge` and `publish-model`: each parses, calls one function, prints."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer
from typer import Argument, Option

from curation.commands.publishing import DryRun, Public, Repo, Simulated
from curation.printing import result, say, say_next, table
from curation.rendering import DEFAULT_MODEL

Dataset = Annotated[str, Argument(metavar="DATASET", help="a version's folder, or ORG/REPO@REVISION on the Hub")]
Split = Annotated[str, Option(help="default or rpe1_holdout")]
Model = Annotated[str, Option(help="a folder, or a name on the Hub")]
Template = Annotated[Path | None, Option(metavar="FILE", help="a chat template in the place of the tokenizer's own")]
Direct = Annotated[bool, Option("--direct", help="the answers alone, without reasoning: the paper's baseline")]


def render(
    ctx: typer.Context,
    dataset: Dataset,
    split: Split = "default",
    side: Annotated[str, Option(help="train or validation")] = "train",
    n: Annotated[int, Option(min=1, help="so many rows, the first ones")] = 3,
    model: Model = DEFAULT_MODEL,
    template: Template = None,
    direct: Direct = False,
) -> None:
    """Print the tokens that rows of a dataset are trained on, as text in two colours.

    Example: synthpert render perturb-traces-1.0.0 --split default --n 3
    """
    from training.rows import shown

    rows = shown(dataset, split, side, n, model, template, direct)
    result(ctx, rows, "\n\n".join(map(_row, rows)))
    say_next(ctx, f"synthpert train {quote(dataset)} --split {split}{' --direct' if direct else ''}")


def train(
    ctx: typer.Context,
    dataset: Dataset,
    split: Split = "default",
    model: Model = DEFAULT_MODEL,
    out: Annotated[Path | None, Option(help="folder to write; default ./NAME-VERSION-SPLIT-lora")] = None,
    backend: Annotated[str, Option(help="auto, unsloth or trl")] = "auto",
    direct: Direct = False,
    template: Template = None,
    epochs: Annotated[float, Option(min=0.01, help="times through the rows")] = 50,
    batch_size: Annotated[int, Option(min=1, help="rows a step, on each device")] = 4,
    accumulate: Annotated[int, Option(min=1, help="steps whose gradients are summed up")] = 1,
    learning_rate: Annotated[float, Option(min=0, help="of AdamW, falling linearly to 0")] = 1e-4,
    warmup_steps: Annotated[int, Option(min=0, help="steps over which it rises first")] = 5,
    max_length: Annotated[int, Option(min=16, help="tokens; longer rows are left out and counted")] = 2048,
    rank: Annotated[int, Option(min=1, help="of the LoRA")] = 32,
    alpha: Annotated[int, Option(min=1, help="of the LoRA")] = 32,
    load_in_4bit: Annotated[bool, Option("--load-in-4bit", help="hold the base in 4 bits (NVIDIA GPU)")] = False,
    packing: Annotated[bool, Option("--packing", help="several rows in one place (needs FlashAttention)")] = False,
    patience: Annotated[int | None, Option(min=1, help="stop after so many epochs without a better one")] = None,
    seed: Annotated[int, Option(help="of weights and order")] = 3407,
    report_to: Annotated[str | None, Option(metavar="A,B", help="trackers, such as wandb or tensorboard")] = None,
) -> None:
    """Train a LoRA adapter on a dataset; the same command goes on where a stopped one was.

    The defaults are the paper's. On several GPUs: accelerate launch -m training DATASET ...

    Example: synthpert train perturb-traces-1.0.0 --split default --epochs 3
    """
    from training.record import is_main
    from training.run import train as work
    from training.settings import Settings

    settings = Settings(
        model, template, direct, epochs, batch_size, accumulate, learning_rate, warmup_steps, max_length, rank, alpha,
        load_in_4bit, packing, patience, seed,
    )  # fmt: skip
    told = (lambda line: say(ctx, line)) if is_main() else (lambda line: None)
    quiet = ctx.obj["quiet"]
    found = work(dataset, split, settings, out=out, backend=backend, report_to=report_to, quiet=quiet, say=told)
    if is_main():
        result(ctx, found, _trained(found))
        say_next(ctx, f"synthpert merge {quote(found['out'])}")


def _trained(found: dict[str, Any]) -> str:
    """Return the losses by epoch, no more than the first ten and the last, and what it took."""
    epochs = found["epochs"]
    shown = [
        {k: v for k, v in e.items() if k != "step"} for e in (epochs[:10] + epochs[-1:] if len(epochs) > 11 else epochs)
    ]
    kept = f"; kept: epoch {found['best']['epoch']:g}" if found["best"] else ""
    if found["best"] and found["last"] and found["last"]["step"] != found["best"]["step"]:
        kept += f", and in last/ epoch {found['last']['epoch']:g}"
    took = f"{found['steps']:,} steps, {found['tokens']:,} tokens in {found['seconds']:,.0f} s"
    speed = f"{found['tokens_per_second']:,.0f} tokens/s, {found['memory_gb']:.1f} GB at most"
    return f"{table(shown)}\n\n{found['out']}: {took} ({speed}){kept}"


def merge(
    ctx: typer.Context,
    folder: Annotated[Path, Argument(metavar="DIR", help="a folder that `train` wrote")],
    out: Annotated[Path | None, Option(help="folder to write; default DIR-merged")] = None,
) -> None:
    """Merge an adapter into its base model, and prove that it answers as before.

    Example: synthpert merge perturb-traces-1.0.0-default-lora
    """
    from training.adapter import merge as work

    done = work(folder, out)
    text = f"{done.out}: in {done.dtype}, {done.same} of {done.prompts} greedy answers the same"
    text += (
        f", the others part at a tie (logits off by {done.off:.2g} of what the adapter changes)"
        if done.same < done.prompts
        else ""
    )
    result(ctx, done._asdict(), text)


def publish_model(
    ctx: typer.Context,
    folder: Annotated[Path, Argument(metavar="DIR", help="a folder that `train` or `merge` wrote")],
    repo: Repo,
    public: Public = False,
    dry_run: DryRun = False,
    allow_simulated: Simulated = False,
) -> None:
    """Publish a trained adapter, or a merged model, to the Hub in one commit.

    HF_TOKEN is a token that may write. Typed again it goes on where it stopped, and what is there stays as it is.

    Example: synthpert publish-model perturb-traces-1.0.0-default-lora ORG/REPO --dry-run
    """
    from training.publishing import publish_model as work

    done = work(
        folder, repo, public=public, dry_run=dry_run, allow_simulated=allow_simulated, say=lambda line: say(ctx, line)
    )
    seen = f"{'public' if done.public else 'private'}{'; simulated' if done.simulated else ''}"
    what = f"{folder} ({done.kind}, {done.dataset}, on {done.base}) -> {done.repo} ({seen})"
    size = f"{len(done.files)} files, {sum(f['bytes'] for f in done.files):,} bytes"
    if done.left_out:
        some = ", ".join(done.left_out[:5]) + (f" and {n - 5} more" if (n := len(done.left_out)) > 5 else "")
        say(ctx, f"left out, as `train` and `merge` write no such file: {some}")
    if done.state == "dry-run":
        return result(ctx, done._asdict(), f"would go: {what}: {size}\n{table(done.files)}")
    there = "is there already, nothing sent" if done.state == "there" else size
    result(ctx, done._asdict(), f"{what}, commit {done.commit}: {there}")


def _row(row: dict[str, Any]) -> str:
    """Return a row as text: the prompt dim, what is trained on in green where there is a terminal."""
    return "\n".join(
        [
            _styled(f"{row['id']}  PROMPT, {row['tokens_prompt']:,} tokens", bold=True),
            _styled(row["prompt"], dim=True),
            _styled(f"{row['id']}  TRAINED ON, {row['tokens_completion']:,} tokens", bold=True),
            _styled(row["completion"], fg="green"),
        ]
    )


def _styled(text: str, **style: Any) -> str:
    return typer.style(text, **style) if sys.stdout.isatty() else text
