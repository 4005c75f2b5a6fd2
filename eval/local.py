"""Local: a model in this process, through transformers, asked in batches; for whoever has no server at hand.

A server such as vLLM is several times as fast. What is asked is just what the model was trained on: the same rendering.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from curation.asking.asked import Asked
from curation.asking.journal import Journal
from curation.asking.requests import Endpoint, Request
from curation.errors import BadInput
from curation.rendering import load_tokenizer, prompt_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers import PreTrainedTokenizerBase as Tokenizer

PROVIDER = "transformers"
LONGEST = 2048  # tokens of an answer
TAKES = {"max_new_tokens": LONGEST, "temperature": 0.0, "top_p": 1.0, "seed": 0}
SYNC_EVERY = 20.0  # seconds


class Local(NamedTuple):
    """A loaded model, and the endpoint that names it in the store: its name, its weights' hash, its parameters."""

    endpoint: Endpoint
    model: PreTrainedModel
    tokenizer: Tokenizer

    def ask(
        self,
        requests: Iterable[Request | None],
        endpoint: Endpoint,
        journal: Journal,
        **how: Any,
    ) -> Asked:
        """Answer what is not known yet, `concurrency` rows a batch, as the engine does of an endpoint.

        Every batch is in the journal before it is counted. Ctrl-C loses the batch in work alone.

        Raises:
            BadInput: a batch does not fit the GPU's memory.
        """
        known, concurrency, tell = how["known"], how["concurrency"], how["tell"]
        count = Asked()
        waiting: list[tuple[str, Request]] = []
        synced = time.monotonic()
        for request in filter(None, requests):
            request_id = request.id(endpoint)
            if request_id in known.answered:
                count.cached += 1
            else:
                known.answered.add(request_id)
                waiting.append((request_id, request))
        try:
            for start in range(0, len(waiting), concurrency):
                self._answer(waiting[start : start + concurrency], journal, count)
                tell(count)
                if time.monotonic() - synced > SYNC_EVERY:
                    journal.absorb()
                    synced = time.monotonic()
        except KeyboardInterrupt:
            count.stopped = "interrupted"
        finally:
            journal.absorb()
        count.left = len(waiting) - count.answered
        return count

    def _answer(self, batch: list[tuple[str, Request]], journal: Journal, count: Asked) -> None:
        began = time.monotonic()
        prompts = [prompt_ids(self.tokenizer, request.messages) for _, request in batch]
        replies = self._generate(prompts, batch[0][0])
        seconds = (time.monotonic() - began) / len(batch)
        for (request_id, request), prompt, (text, tokens, ended) in zip(batch, prompts, replies, strict=True):
            columns = {"text": text, "finish_reason": "stop" if ended else "length", "usd": 0.0, "seconds": seconds}
            columns |= {"tokens_in": len(prompt), "tokens_out": tokens}
            journal.write(request.row(request_id, self.endpoint, 1) | columns)
        count.asked += len(batch)
        count.answered += len(batch)

    def _generate(self, prompts: list[list[int]], first_id: str) -> list[tuple[str, int, bool]]:
        """Return for each prompt the text that follows, its tokens, and whether the model ended it itself."""
        import torch

        width = max(map(len, prompts))
        pad, ends = self.pad, self.ends
        # to the left: what is generated must follow the prompt's last token at once
        ids = torch.tensor([[pad] * (width - len(p)) + p for p in prompts], device=self.model.device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=self.model.device)
        torch.manual_seed(int(first_id, 16) % 2**63)
        try:
            with torch.inference_mode():
                out = self.model.generate(input_ids=ids, attention_mask=mask, **self._how())
        except torch.OutOfMemoryError as e:
            raise BadInput(f"--concurrency {len(prompts)}: a batch of so many rows does not fit the GPU") from e
        return [self._reply(row.tolist(), ends) for row in out[:, width:]]

    def _reply(self, ids: list[int], ends: set[int]) -> tuple[str, int, bool]:
        end = next((n for n, i in enumerate(ids) if i in ends), None)
        said = ids[:end]
        return self.tokenizer.decode(said, skip_special_tokens=True), len(said), end is not None

    @property
    def pad(self) -> int:
        """The token that fills up; any will do, as the mask hides it."""
        return self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else min(self.ends)

    @property
    def ends(self) -> set[int]:
        """The tokens that end an answer."""
        own = self.model.generation_config.eos_token_id
        return {self.tokenizer.eos_token_id, *(own if isinstance(own, list) else [own])} - {None}

    def _how(self) -> dict[str, Any]:
        params = {**TAKES, **self.endpoint.params}
        found: dict[str, Any] = {"max_new_tokens": int(params["max_new_tokens"]), "pad_token_id": self.pad}
        found["eos_token_id"] = sorted(self.ends)
        if params["temperature"] > 0:
            return found | {"do_sample": True, "temperature": params["temperature"], "top_p": params["top_p"]}
        return found | {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}


def load(model: str, adapter: Path | None, params: dict[str, Any], samples: int = 1) -> Local:
    """Load a model, and the adapter that was trained for it: bfloat16 on a GPU, float32 without one.

    Args:
        model: a folder or a name on the Hub.
        adapter: a folder that training wrote.
        params: max_new_tokens (2048), temperature (0: always the likeliest token), top_p.
        samples: answers an example; several need a temperature.

    Raises:
        BadInput: the extra `train` is not installed, a parameter is none of these, or there is no such model or
            adapter.
    """
    _check(params, samples)
    tokenizer = load_tokenizer(model)
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    gpu = torch.cuda.is_available()
    try:
        loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16 if gpu else torch.float32)
    except (OSError, ValueError, SafetensorError) as e:
        raise BadInput(f"--model {model}: it cannot be loaded: {str(e).strip().splitlines()[0]}") from e
    named = Path(model).name if Path(model).is_dir() else model
    weights = {"weights": fingerprint(model, getattr(loaded.config, "_commit_hash", None))}
    if adapter is not None:
        loaded, named = _adapted(loaded, adapter), f"{named}+{adapter.resolve().name}"
        weights["adapter"] = fingerprint(str(adapter), None)
    loaded = loaded.to("cuda" if gpu else "cpu").eval()
    return Local(Endpoint(named, "", "", PROVIDER, {**params, **weights}, {}), loaded, tokenizer)


def _check(params: dict[str, Any], samples: int) -> None:
    for key, value in params.items():
        if key not in TAKES or not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
            raise BadInput(f"--param {key}={value}: with --engine transformers {', '.join(TAKES)}, as numbers")
    if samples > 1 and not params.get("temperature"):
        raise BadInput(f"--samples {samples}: all alike without a temperature; give --param temperature=1")


def _adapted(model: Any, adapter: Path) -> Any:
    """Return a model with its adapter merged into the weights, which answers faster than with it beside them."""
    if not (adapter / "adapter_config.json").is_file():
        raise BadInput.at(adapter, "no adapter_config.json", "the folder of a trained adapter")
    from peft import PeftModel
    from safetensors import SafetensorError

    try:
        return PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as e:
        raise BadInput.at(adapter, str(e).strip().splitlines()[0], "an adapter of this model") from e


def fingerprint(model: str, commit: str | None) -> str:
    """Return what changes when the weights do: the Hub's commit, or a hash of the folder's files.

    A folder keeps its name when what is in it is trained anew, and an answer of the old weights must not be taken
    for one of the new.
    """
    if not Path(model).is_dir():
        return commit or "unknown"
    digest = hashlib.sha256()
    for file in sorted(f for f in Path(model).iterdir() if f.is_file()):
        digest.update(file.name.encode())
        with open(file, "rb") as f:
            digest.update(hashlib.file_digest(f, "sha256").digest())
    return digest.hexdigest()[:16]
