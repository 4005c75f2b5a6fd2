"""Settings: what a training depends on, with the paper's values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from curation.rendering import DEFAULT_MODEL

# each linear layer of a Llama's block; Qwen and Mistral call them the same
LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Settings:
    """Settings of one training. The defaults are those of the paper's Table 6, and of its published code where the
    paper is silent (rank, alpha, schedule, seed); docs/training.md tells where they depart from it."""

    model: str = DEFAULT_MODEL
    template: Path | None = None  # a chat template in the place of the tokenizer's own
    direct: bool = False  # answers alone
    epochs: float = 50
    batch_size: int = 4  # rows a step, on each device
    accumulate: int = 1  # steps whose gradients are summed up before the weights move
    learning_rate: float = 1e-4
    warmup_steps: int = 5
    max_length: int = 2048  # tokens; a longer row is left out
    rank: int = 32
    alpha: int = 32
    load_in_4bit: bool = False
    packing: bool = False  # several rows in one, without padding
    patience: int | None = None  # epochs without a better validation loss, after which it stops
    seed: int = 3407

    def told(self) -> dict[str, Any]:
        """Return them as JSON holds them."""
        return {**asdict(self), "template": str(self.template) if self.template else None}
