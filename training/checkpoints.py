"""Checkpoints: which of them are whole, which are kept, and what they say of the training so far."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

WHOLE = "whole"  # a file that is written when all others are: a killed run leaves a checkpoint without it
ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


def held(folder: Path) -> dict[int, Path]:
    """Return the whole checkpoints of a folder by their step, from the first to the last."""
    found = {int(c.name.rpartition("-")[2]): c for c in folder.glob("checkpoint-*") if (c / WHOLE).exists()}
    return dict(sorted(found.items()))


def newest(folder: Path) -> Path | None:
    """Return the last whole checkpoint."""
    return next(reversed(held(folder).values()), None)


def log(checkpoint: Path) -> list[dict[str, Any]]:
    """Return what was logged up to a checkpoint, an entry a step and an evaluation."""
    return json.loads((checkpoint / "trainer_state.json").read_text("utf-8"))["log_history"]


def evaluations(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the evaluations among what was logged: step, epoch, eval_loss."""
    return [e for e in entries if "eval_loss" in e]


def best_step(entries: list[dict[str, Any]]) -> int | None:
    """Return the step after which the validation loss was lowest; None before the first evaluation."""
    return min(evaluations(entries), key=lambda e: e["eval_loss"], default={"step": None})["step"]


def is_over(entries: list[dict[str, Any]], patience: int | None) -> bool:
    """Tell whether so many epochs have gone by without a better validation loss."""
    losses = [e["eval_loss"] for e in evaluations(entries)]
    return patience is not None and len(losses) - losses.index(min(losses)) > patience if losses else False


class Keeper(TrainerCallback):
    """Keeps the best and the newest checkpoint, and removes the others only when the newest is whole."""

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint that was just written, and remove those that are no longer needed."""
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir)
        (folder / f"checkpoint-{state.global_step}" / WHOLE).touch()
        keep = {state.global_step, best_step(state.log_history)}
        for step, checkpoint in held(folder).items():
            if step not in keep:
                (checkpoint / WHOLE).unlink()
                shutil.rmtree(checkpoint)


def clear(folder: Path) -> None:
    """Remove what a killed run left of a checkpoint that it was writing."""
    for checkpoint in folder.glob("checkpoint-*"):
        if not (checkpoint / WHOLE).exists():
            shutil.rmtree(checkpoint)


def copy_adapter(checkpoint: Path, out: Path) -> None:
    """Copy the adapter of a checkpoint."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ADAPTER:
        shutil.copyfile(checkpoint / name, out / name)
