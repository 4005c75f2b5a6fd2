"""Watch: what a training tells as it goes, and how it is stopped without losing anything."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import Any

from transformers import TrainerCallback

from training.checkpoints import is_over

EVERY = 10  # seconds between two lines, where there is no terminal


class Watch(TrainerCallback):
    """Prints loss, tokens a second, memory and time left; stops, saving, when it was asked to or patience is over.

    What it adds to each logged step: tokens (so far), seconds (so far), tokens_per_second, memory_gb (the most so far).
    """

    def __init__(self, *, patience: int | None = None, quiet: bool = False) -> None:
        self.patience, self.quiet = patience, quiet
        self.asked = self.stopped = False
        self.terminal = sys.stderr.isatty()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Go on with the counts of the checkpoint that it resumes from."""
        done: dict[str, Any] = next((e for e in reversed(state.log_history) if "tokens" in e), {})
        self.before, self.step_before = done.get("seconds", 0.0), state.global_step
        self.tokens = self.tokens_before = state.num_input_tokens_seen
        self.validation: float | None = None
        self.began = self.last_log = time.monotonic()
        self.last_line = 0.0
        self.quiet = self.quiet or not state.is_world_process_zero

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop here if it was asked for; the end of an epoch evaluates and saves by itself."""
        if self._everybody_asked():
            self.stopped = control.should_training_stop = True
            control.should_save = state.epoch != int(state.epoch)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Do not take the middle of an epoch, where it was stopped, for its end."""
        if self.stopped and state.epoch != int(state.epoch):
            control.should_evaluate = control.should_save = control.should_log = False

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any) -> None:
        """Stop if patience is over."""
        self.validation = metrics["eval_loss"]
        if is_over(state.log_history, self.patience):
            control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        """Add to the entry what we measure, and print a line if it is time."""
        if "loss" not in logs:
            return
        now = time.monotonic()
        rate = (state.num_input_tokens_seen - self.tokens) / max(now - self.last_log, 1e-9)
        self.tokens, self.last_log = state.num_input_tokens_seen, now
        state.log_history[-1] |= {
            "tokens": self.tokens,
            "seconds": self.before + now - self.began,
            "tokens_per_second": rate,
            "memory_gb": memory_gb(),
        }
        if not self.quiet and (self.terminal or now - self.last_line >= EVERY):
            self.last_line = now
            line = self._line(state, logs["loss"], now)
            print(f"\r\x1b[K{line}" if self.terminal else f"{line}\n", end="", file=sys.stderr, flush=True)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Leave the line as it stands and go on below it."""
        if self.terminal and not self.quiet:
            print(file=sys.stderr)

    def _line(self, state: Any, loss: float, now: float) -> str:
        steps = state.global_step - self.step_before
        left = timedelta(seconds=round((state.max_steps - state.global_step) * (now - self.began) / max(steps, 1)))
        speed = (self.tokens - self.tokens_before) / max(now - self.began, 1e-9)
        text = f"step {state.global_step:,} of {state.max_steps:,}, epoch {state.epoch:.2f}: loss {loss:.3f}"
        text += f", validation {self.validation:.3f}" if self.validation is not None else ""
        return f"{text}  {speed:,.0f} tokens/s  {memory_gb():.1f} GB  {left} left"

    def _everybody_asked(self) -> bool:
        """Tell whether any process was asked to stop: all must stop at the same step, or they wait for each other."""
        import torch

        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return self.asked
        device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
        asked = torch.tensor(int(self.asked), device=device)
        torch.distributed.all_reduce(asked, op=torch.distributed.ReduceOp.MAX)
        return bool(asked.item())

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Have Ctrl-C and SIGTERM stop the training after the step at hand; a second one breaks off at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for s, handler in before.items():
                signal.signal(s, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if not self.quiet:
            print("\nstopping after this step; once more breaks off at once", file=sys.stderr, flush=True)


def memory_gb() -> float:
    """Return the most memory that was in use so far, in GB: of the GPU, or of this process where there is none."""
    import resource

    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 1e9 if sys.platform == "darwin" else used * 1024 / 1e9
