"""The rehearsal of a training: a model so tiny that a CPU trains it in seconds, on the rows of a real version."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from curation.published import open_dataset
from training.settings import Settings

NEEDED = ("torch", "transformers", "trl", "peft", "accelerate")


def can_train() -> bool:
    """Tell whether the `train` extra is installed."""
    return all(find_spec(name) for name in NEEDED)


def rehearse(dataset: Path, out: Path) -> dict[str, Any]:
    """Train a tiny model on a version's default split, one time through its rows; returns what `train` returns.

    Args:
        dataset: the folder of the version.
        out: the folder for the adapter; the model it belongs to is written beside it.
    """
    import torch
    from transformers.utils import logging

    from curation.rehearsal.tiny import words, write_model
    from training.run import hush, train

    hush()
    logging.disable_progress_bar()  # of weights that are there in no time
    chats = open_dataset(str(dataset)).table("default", "train", ["messages"])["messages"].to_pylist()
    model = write_model(out.with_name("tiny-model"), words(chats), vocabulary=1024)
    settings = Settings(model=str(model), epochs=1, learning_rate=5e-3, rank=8, alpha=8)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them only wait for each other on so little work
    try:
        return train(str(dataset), settings=settings, out=out, quiet=True)
    finally:
        torch.set_num_threads(threads)
