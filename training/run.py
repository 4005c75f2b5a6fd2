"""Run: a training from a published dataset to an adapter; the same command goes on where a stopped one was."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from curation.errors import BadInput, Interrupted, TrainingStopped
from curation.locks import lock
from curation.published import open_dataset
from curation.rendering import facts, load_tokenizer
from training import backends, record
from training.record import CHECKPOINTS
from training.rows import Rows, tokens
from training.settings import Settings


class Side(NamedTuple):
    """The two sides as tokens."""

    train: Rows
    validation: Rows


def train(
    dataset: str,
    split: str = "default",
    settings: Settings | None = None,
    *,
    out: Path | None = None,
    backend: str = "auto",
    report_to: str | None = None,
    quiet: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train a LoRA adapter on one split of a dataset.

    Args:
        dataset: a version's folder, or ORG/REPO@REVISION on the Hub.
        split: the split; its validation side is what the loss is watched on.
        settings: what it depends on; the paper's by default.
        out: the folder to write, by default NAME-VERSION-SPLIT-lora. One that a stopped training of the same dataset
            and settings left is gone on with; one that is done is left as it is.
        backend: auto, unsloth or trl.
        report_to: trackers that transformers knows, such as wandb, joined by commas.
        quiet: no progress.
        say: called with a line for each thing to know.

    Returns:
        What stands in training.json: see `record`. The adapter of the best epoch is in `out`, the last epoch's in
        `out`/last.

    Raises:
        BadInput: a row is not as it should be, or a setting is not, or `out` holds something else.
        TrainingStopped: no memory or no disk is left.
        Interrupted: Ctrl-C; a checkpoint was written.
    """
    settings = settings or Settings()
    one_device()
    hush()
    chosen = backends.choose(backend)  # first, since unsloth must be imported before transformers
    say(f"backend {chosen.name}: {chosen.why}")
    data = open_dataset(dataset)
    tokenizer = load_tokenizer(settings.model, settings.template)
    sides = Side(*(_side(data, split, side, tokenizer, settings, say) for side in ("train", "validation")))
    out = out or Path(f"{data.name}-{data.version}-{split}-{'direct' if settings.direct else 'lora'}")
    begun = record.begun(out, data, split, settings, chosen, sides._asdict(), facts(tokenizer))
    with _alone(out):
        if done := record.take_up(out, begun):
            say(f"{out}: this training is done; nothing to do")
            return done
        _steps(out, chosen, settings, tokenizer, sides, report_to, quiet, say)
        return record.finish(out, out / CHECKPOINTS, begun, tokenizer) if record.is_main() else begun


def one_device() -> None:
    """Have a process see one GPU only, where no launcher gave it its own: transformers would spread over all, badly."""
    if "WORLD_SIZE" not in os.environ:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")


def hush() -> None:
    """Leave out what the libraries say to each other: bars of their own, and warnings of what a next version drops."""
    import warnings

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|peft|accelerate)\b")


def _side(data: Any, split: str, side: str, tokenizer: Any, settings: Settings, say: Any) -> Rows:
    rows = tokens(data, split, side, tokenizer, max_length=settings.max_length, direct=settings.direct)
    say(f"{side}: {rows.table.num_rows:,} rows, {rows.tokens:,} tokens, the longest {rows.longest:,}")
    if rows.too_long:
        say(
            f"{side}: left out {len(rows.too_long):,} rows longer than --max-length {settings.max_length:,}; "
            f"the longest has {max(rows.too_long.values()):,} (training.json lists them)"
        )
    if rows.weighted:
        say(f"{side}: the recipe gave weights; they are not used in training")
    return rows


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep a second training out of the same folder."""
    if out.exists() and not out.is_dir():
        raise BadInput(f"--out {out}: this is a file")
    with lock(out / ".lock") if record.is_main() else nullcontext(True) as held:
        if not held:
            raise BadInput(f"--out {out}: another training is writing there")
        yield


def _steps(
    out: Path,
    backend: Any,
    settings: Settings,
    tokenizer: Any,
    sides: Side,
    report_to: str | None,
    quiet: bool,
    say: Any,
) -> None:
    """Take all steps that are left."""
    from training import checkpoints
    from training.watch import Watch

    folder = out / CHECKPOINTS
    if record.is_main():
        checkpoints.clear(folder)
    if (from_ := checkpoints.newest(folder)) and checkpoints.is_over(checkpoints.log(from_), settings.patience):
        return
    watch = Watch(patience=settings.patience, quiet=quiet)
    model = backends.load(backend, settings)
    trainer = make_trainer(model, tokenizer, settings, sides, folder, [watch, checkpoints.Keeper()], report_to)
    verify(trainer, sides.train)
    if from_:
        say(f"going on from {from_.name}")
    began = time.monotonic()
    with watch.listening(), told(settings, out):
        trainer.train(resume_from_checkpoint=str(from_) if from_ else None)
    if watch.stopped:
        minutes = (time.monotonic() - began) / 60
        raise Interrupted(f"stopped after {minutes:.1f} min, saved in {folder}; the same command goes on from here")


def make_trainer(
    model: Any,
    tokenizer: Any,
    settings: Settings,
    sides: Side,
    folder: Path,
    callbacks: list[Any],
    report_to: str | None,
) -> Any:
    """Return the SFTTrainer: it is handed tokens and labels, and prepares, cuts and prints nothing.

    Raises:
        BadInput: a tracker that is not installed.
    """
    import torch
    from datasets import Dataset
    from datasets.table import InMemoryTable
    from transformers import PrinterCallback

    config = _config(settings, folder, report_to)
    train, validation = (Dataset(InMemoryTable(side.table)) for side in sides)
    try:
        trainer = _trainer_class(torch.cuda.is_available())(
            model=model,
            args=config,
            train_dataset=train,
            eval_dataset=validation,
            processing_class=tokenizer,
            callbacks=callbacks,
        )
    except (RuntimeError, ValueError) as e:
        if report_to:
            raise BadInput(f"--report-to {report_to}: {str(e).splitlines()[0]}") from e
        raise
    trainer.remove_callback(PrinterCallback)
    return trainer


def _config(settings: Settings, folder: Path, report_to: str | None) -> Any:
    """Return the settings in TRL's words, with all that it would do of its own accord turned off."""
    import torch
    from trl import SFTConfig

    gpu = torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulate,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup_steps,
        optim="adamw_torch",
        weight_decay=0.0,
        seed=settings.seed,
        data_seed=settings.seed,
        bf16=backends.precision() == torch.bfloat16,
        use_cpu=not gpu,
        gradient_checkpointing=gpu,
        gradient_checkpointing_kwargs={"use_reentrant": False} if gpu else None,
        max_length=settings.max_length if settings.packing else None,  # rows that do not fit are gone already
        packing=settings.packing,
        padding_free=False,
        dataset_kwargs=None if settings.packing else {"skip_prepare_dataset": True},
        eval_packing=False,
        completion_only_loss=False,  # the labels say what the loss is on
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_steps=1,
        disable_tqdm=True,
        include_num_input_tokens_seen="non_padding",
        report_to=report_to.split(",") if report_to else "none",
        ddp_find_unused_parameters=False if int(os.environ.get("WORLD_SIZE", "1")) > 1 else None,
    )


def _trainer_class(gpu: bool) -> Any:
    """Return TRL's SFTTrainer. Before 1.16 it takes the loss by Triton alone, which runs on no CPU: there it is
    transformers' own, the same number."""
    from importlib.metadata import version

    from packaging.version import Version
    from transformers import Trainer
    from trl import SFTTrainer

    if gpu or Version(version("trl")) >= Version("1.16"):
        return SFTTrainer

    class WithoutTriton(SFTTrainer):
        compute_loss = Trainer.compute_loss

    return WithoutTriton


def verify(trainer: Any, rows: Rows) -> None:
    """Look at a batch as the trainer makes it: the labels must still be those that were rendered, EOS included.

    A collator that hides the padding hides the end of the answer with it, where both are the same token.

    Raises:
        BadInput: they are not.
    """
    some = rows.table.slice(0, 2).to_pylist()
    batch = trainer.data_collator([dict(row) for row in some])
    for row, labels in zip(some, batch["labels"].tolist(), strict=False):
        trained = [label for label in labels if label != -100]
        if trained != [label for label in row["labels"] if label != -100] and not trainer.args.packing:
            raise BadInput(f"the trainer takes the loss on {len(trained)} tokens of a row, not on those rendered")


@contextmanager
def told(settings: Settings, out: Path) -> Iterator[None]:
    """Turn what a machine has no more of into a line that says which dial to turn."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as e:
        raise TrainingStopped(_memory(settings)) from e
    except (OSError, RuntimeError) as e:
        if _no_space(e, out):
            raise TrainingStopped(
                f"{out}: no space is left on this disk; the last whole checkpoint stands, "
                "and the same command goes on from there when there is space"
            ) from e
        if "can't allocate memory" in str(e):
            raise TrainingStopped(_memory(settings)) from e
        raise


def _memory(settings: Settings) -> str:
    dials = [
        f"--batch-size {settings.batch_size // 2} --accumulate {settings.accumulate * 2} (the same result)"
        if settings.batch_size > 1
        else "",
        f"--max-length below {settings.max_length:,} (leaves out more rows)",
        "" if settings.load_in_4bit else "--load-in-4bit (on a GPU)",
    ]
    return f"out of memory; what to turn, best first: {', '.join(d for d in dials if d)}"


def _no_space(e: BaseException, out: Path) -> bool:
    """Tell whether a disk is full; torch says it in words of its own, without the reason."""
    if getattr(e, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(e):
        return True
    return any(words in str(e) for words in ("file write failed", "unexpected pos"))
