"""Training measured: tokens a second, peak memory, and the share of the chip's bfloat16 rate, through TRL and unsloth.

Run `python -m benchmarks.training`. On a GPU it makes a Llama of the 8B's shape with random weights (16 GB) and takes
steps of 4 rows of 2,048 tokens in 16 bits; without one it says so and takes them with a tiny model, whose figures say
nothing about the real one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

LENGTH, BATCH = 2048, 4
STEPS, WARM = 20, 5  # those measured, and those before them
LLAMA_8B = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "rope_theta": 500000.0,
    "initializer_range": 0.02,
}
# dense bfloat16 operations a second as the makers' data sheets give them, by a part of the device's name
PEAK = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "RTX 4090": 165e12, "B200": 2250e12}


@dataclass
class Clock:
    """Times the steps after the first few, from inside the trainer."""

    began: float = 0.0
    seconds: float = 0.0

    def callback(self) -> Any:
        """Return it as transformers wants it."""
        import torch
        from transformers import TrainerCallback

        clock = self

        def now() -> float:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            return time.monotonic()

        class Timing(TrainerCallback):
            def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                if state.global_step == WARM:
                    clock.began = now()

            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                if state.global_step == WARM + STEPS:
                    clock.seconds = now() - clock.began
                    control.should_training_stop, control.should_save, control.should_evaluate = True, False, False

            def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                control.should_save = control.should_evaluate = False

        return Timing()


def measure(backend: str, model: str, work: str, length: int) -> dict[str, Any]:
    """Take the steps with one backend, in this process; returns its figures."""
    from training import backends, run
    from training.settings import Settings

    run.one_device()
    run.hush()
    chosen = backends.choose(backend)
    import torch
    from transformers import AutoTokenizer

    settings = Settings(model=model, batch_size=BATCH, epochs=1, max_length=length)
    clock = Clock()
    sides = run.Side(_rows(length), _rows(length, 1))
    loaded = backends.load(chosen, settings)
    trainer = run.make_trainer(
        loaded, AutoTokenizer.from_pretrained(model), settings, sides, Path(work) / "c", [clock.callback()], None
    )
    with run.told(settings, Path(work)):
        trainer.train()
    tokens = STEPS * BATCH * length
    rate, parameters = tokens / clock.seconds, sum(p.numel() for p in loaded.parameters())
    gpu = torch.cuda.is_available()
    name = torch.cuda.get_device_name() if gpu else "CPU"
    peak = next((p for part, p in PEAK.items() if gpu and part in name), None)
    return {
        "backend": chosen.name,
        "device": name,
        "tokens_per_second": rate,
        "memory_gb": torch.cuda.max_memory_allocated() / 1e9 if gpu else None,
        # forward and backward through a frozen base are 4 operations a parameter and token; what checkpointing
        # computes again is not counted, nor is attention
        "share_of_bf16": 4 * parameters * rate / peak if peak else None,
    }


def _rows(length: int, n: int = BATCH * (STEPS + WARM + 1)) -> Any:
    """Return random rows of one length, a quarter of each a prompt."""
    import numpy as np
    import pyarrow as pa

    from training.rows import SCHEMA, Rows

    drawn = np.random.default_rng(0).integers(10, 250, (n, length))
    made = [{"input_ids": row, "labels": [-100] * (length // 4) + row[length // 4 :]} for row in drawn.tolist()]
    return Rows(pa.Table.from_pylist(made, SCHEMA), {}, False, True)


def _model(folder: Path, gpu: bool) -> Path:
    from curation.rehearsal.tiny import make_tokenizer, write_model

    if not gpu:
        return write_model(folder, ["a knock-down of one gene"])
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        LlamaForCausalLM(LlamaConfig(**LLAMA_8B)).save_pretrained(folder)
    torch.set_default_dtype(torch.float32)
    make_tokenizer(["a knock-down of one gene"]).save_pretrained(folder)
    return folder


def main() -> None:
    """Measure each backend in a process of its own, since unsloth patches what the other uses."""
    import torch

    from training.record import versions
    from training.run import hush

    hush()
    gpu = torch.cuda.is_available()
    length = LENGTH if gpu else 128
    if not gpu:
        print("no GPU here: a tiny model instead, whose figures say nothing about the real one; unsloth is left out")
    print(f"{date.today()}  {', '.join(' '.join(v) for v in versions().items())}")
    with tempfile.TemporaryDirectory() as work:
        model = _model(Path(work) / "model", gpu)
        if gpu:
            torch.cuda.empty_cache()
        for backend in ("trl", "unsloth") if gpu else ("trl",):
            given = json.dumps([backend, str(model), work, length])
            command = [sys.executable, "-m", "benchmarks.training", "--one", given]
            done = subprocess.run(command, capture_output=True, text=True)
            ended = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
            print(_line(json.loads(ended[-1])) if done.returncode == 0 else f"{backend}: {ended[-1]}")


def _line(found: dict[str, Any]) -> str:
    text = f"{found['backend']:8} {found['device']}: {found['tokens_per_second']:,.0f} tokens/s"
    text += f", {found['memory_gb']:.1f} GB" if found["memory_gb"] else ""
    return text + (f", {found['share_of_bf16']:.0%} of the bfloat16 rate" if found["share_of_bf16"] else "")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    one = parser.parse_args().one
    if one:
        print(json.dumps(measure(*one)))
    else:
        main()
