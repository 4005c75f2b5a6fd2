"""A model so small that it is made and trained in seconds on a CPU: random weights, and a tokenizer of its own.

Its shape is that of the real thing (Llama, a chat template like DeepSeek-R1-Distill's, a tokenizer that adds BOS), so
whatever trains or runs the real one can be tried on it. What it says means nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

BOS, EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
TURNS = ("<｜User｜>", "<｜Assistant｜>")
TAGS = ("<think>", "</think>")


def write_model(
    folder: Path, texts: Iterable[str], *, vocabulary: int = 512, width: int = 64, seed: int = 0, **config: Any
) -> Path:
    """Write a tiny Llama and its tokenizer; returns the folder.

    Args:
        folder: where to; made if it is not there.
        texts: what the tokenizer learns its words from.
        vocabulary: tokens at most.
        width: of the hidden states; at 64 the model has about 154 thousand parameters.
        seed: of the weights.
        config: of transformers' LlamaConfig, in the place of what stands here.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer(texts, vocabulary)
    shape = {
        "hidden_size": width,
        "intermediate_size": 3 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        # with the usual 0.02 the frozen head is next to nothing, and an adapter cannot lower the loss
        "initializer_range": 0.2,
        "tie_word_embeddings": False,
    }
    special = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": None}
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **(shape | special | config)))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)


def make_tokenizer(texts: Iterable[str], vocabulary: int = 512) -> Any:
    """Return a byte-level BPE tokenizer with the special tokens and a chat template of DeepSeek-R1-Distill's kind.

    Like the real one it puts BOS before every plain text, pads with EOS, and holds the tags of reasoning as tokens that
    are not special, so that they are still there when special tokens are left out.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BOS, EOS, *TURNS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    made.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in TAGS])
    made.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, made.token_to_id(BOS))]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token=BOS, eos_token=EOS, pad_token=EOS, padding_side="left"
    )
    tokenizer.chat_template = (resources.files("curation") / "rehearsal" / "r1.j2").read_text("utf-8").rstrip("\n")
    return tokenizer


def words(rows: Iterable[Any]) -> list[str]:
    """Return the texts of chats, for a tokenizer to learn from."""
    return [message["content"] for messages in rows for message in messages]
