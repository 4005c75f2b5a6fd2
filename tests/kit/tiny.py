"""Tiny tokenizers and models for the tests: the installed maker's, under the names that other families use."""

from importlib import resources

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from curation.rehearsal.tiny import BOS, EOS, make_tokenizer

WORDS = [
    "You predict what a knock-down does.\n\nAnswer with one of: upregulated, downregulated.",
    "<think>\nThe knock-down of TP53 lowers CDKN1A, its target.\n</think>\n<answer>downregulated</answer>",
    "not differentially expressed; I do not know",
] * 3


def shipped(name):
    """A chat template as TRL ships it, byte for byte that of the model."""
    return (resources.files("trl") / "chat_templates" / f"{name}.jinja").read_text()


NEWER = shipped("deepseek_r1_distill")
# before February 2025 the prompt did not open the reasoning
ORIGINAL = NEWER.replace("<｜Assistant｜><think>\\n'", "<｜Assistant｜>'")
assert ORIGINAL != NEWER

# template, BOS, EOS: what a family's tokenizer has
FAMILIES = {
    "r1-distill": (NEWER, BOS, EOS),
    "r1-distill, original": (ORIGINAL, BOS, EOS),
    "llama-3": (shipped("llama3"), "<|begin_of_text|>", "<|eot_id|>"),
    "qwen-2.5": (shipped("qwen2_5"), None, "<|im_end|>"),
    "qwen-3": (shipped("qwen3"), None, "<|im_end|>"),
}


def family(name, texts=WORDS):
    """A tokenizer with the chat template and the special tokens of a family."""
    template, bos, eos = FAMILIES[name]
    made = make_tokenizer(texts).backend_tokenizer.to_str().replace(BOS, bos or "<unused>").replace(EOS, eos)
    tokens = Tokenizer.from_str(made)
    if bos is None:
        from tokenizers import processors

        tokens.post_processor = processors.ByteLevel(trim_offsets=False)
    named = {"bos_token": bos, "eos_token": eos, "pad_token": eos}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, padding_side="left", **named)
    tokenizer.chat_template = template
    return tokenizer
