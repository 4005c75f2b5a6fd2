"""Backends: the two ways to load a model with a fresh adapter. Everything after that is the same for both.

unsloth patches transformers as it is imported, so it must come first: nothing here imports transformers before.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from curation.errors import BadInput
from training.settings import LAYERS, Settings

if TYPE_CHECKING:
    import torch

BACKENDS = ("auto", "unsloth", "trl")
OLDEST = (7, 0)  # CUDA capability that unsloth supports: Volta


class Backend(NamedTuple):
    """Which backend runs, and why."""

    name: str
    why: str


def choose(wanted: str = "auto") -> Backend:
    """Choose a backend, and import unsloth if it is the one.

    Args:
        wanted: auto, unsloth or trl. auto takes unsloth where one supported GPU and the package are there.

    Raises:
        BadInput: an unknown name, unsloth where it cannot run, or the training extra is missing.
    """
    if wanted not in BACKENDS:
        raise BadInput(f"--backend {wanted}: not one of {', '.join(BACKENDS)}")
    if missing := [name for name in ("torch", "transformers", "trl", "peft", "accelerate") if not find_spec(name)]:
        raise BadInput(f"training needs {', '.join(missing)}: pip install 'synthpert[train]'")
    if wanted == "trl":
        return Backend("trl", "asked for")
    missing_for = _why_not_unsloth(sharded := "ACCELERATE_USE_FSDP" in os.environ or _deepspeed())
    if wanted == "unsloth" and missing_for:
        raise BadInput(f"--backend unsloth: {missing_for}; --backend trl does without")
    if wanted == "auto" and not missing_for and _processes() > 1:
        missing_for = "several processes"
    if missing_for:
        return Backend("trl", missing_for)
    assert not sharded
    import unsloth  # noqa: F401 - before transformers, which it patches

    return Backend("unsloth", "asked for" if wanted == "unsloth" else "a supported GPU and the package are there")


def _why_not_unsloth(sharded: bool) -> str | None:
    import torch

    if not torch.cuda.is_available():
        return "no GPU for unsloth"
    if torch.version.hip is None and torch.cuda.get_device_capability() < OLDEST:
        return f"{torch.cuda.get_device_name()} is older than what unsloth supports"
    if find_spec("unsloth") is None:
        return "unsloth is not installed (pip install 'synthpert[unsloth]')"
    return "the model is sharded, which unsloth does not do" if sharded else None


def _deepspeed() -> bool:
    return os.environ.get("ACCELERATE_USE_DEEPSPEED", "false") == "true"


def _processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def precision() -> torch.dtype:
    """Return bfloat16 where the GPU computes in it, else float32."""
    import torch

    fit = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if fit else torch.float32


def load(backend: Backend, settings: Settings) -> Any:
    """Load the base model and put a fresh adapter on it: LoRA on every linear layer of a block, no dropout.

    The adapter is in float32 also where the base is in bfloat16, as PEFT makes it.

    Raises:
        BadInput: no such model, it has no such layers, or 4 bits are asked of a machine without a GPU.
    """
    import torch
    from transformers import set_seed

    if settings.load_in_4bit and not (torch.cuda.is_available() and find_spec("bitsandbytes")):
        raise BadInput("--load-in-4bit: this needs an NVIDIA GPU and the package bitsandbytes")
    set_seed(settings.seed)
    try:
        return (_by_unsloth if backend.name == "unsloth" else _by_trl)(settings)
    except (OSError, ValueError) as e:
        raise BadInput(f"--model {settings.model}: {str(e).strip().splitlines()[0]}") from e


def _by_unsloth(settings: Settings) -> Any:
    from unsloth import FastLanguageModel

    model, _ = FastLanguageModel.from_pretrained(
        settings.model,
        max_seq_length=settings.max_length,
        dtype=precision(),
        load_in_4bit=settings.load_in_4bit,
        use_exact_model_name=True,  # else another repository's weights stand in for those that were named
    )
    return FastLanguageModel.get_peft_model(
        model,
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0,
        bias="none",
        target_modules=list(LAYERS),
        use_gradient_checkpointing="unsloth",
        random_state=settings.seed,
    )


def _by_trl(settings: Settings) -> Any:
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(settings.model, dtype=precision(), **_quantized(settings))
    if settings.load_in_4bit:
        model = prepare_model_for_kbit_training(model)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        bias="none",
        target_modules=list(LAYERS),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def _quantized(settings: Settings) -> dict[str, Any]:
    """Return what loads the base in 4 bits (NF4 with double quantization, as QLoRA does), and packing's attention."""
    found: dict[str, Any] = {}
    if settings.packing:
        found["attn_implementation"] = attention_for_packing()
    if settings.load_in_4bit:
        from transformers import BitsAndBytesConfig

        found["device_map"] = {"": int(os.environ.get("LOCAL_RANK", "0"))}
        found["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=precision(),
        )
    return found


def attention_for_packing() -> str:
    """Return the attention that keeps packed rows apart; any other lets each row see those before it.

    Raises:
        BadInput: there is none on this machine.
    """
    from transformers.utils import is_flash_attn_2_available, is_flash_attn_3_available

    if is_flash_attn_3_available():
        return "flash_attention_3"
    if is_flash_attn_2_available():
        return "flash_attention_2"
    raise BadInput(
        "--packing: this needs FlashAttention on a GPU; without it the rows that share a place see each other"
    )
