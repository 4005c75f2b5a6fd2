"""Rendering: a row's chat to the tokens that a model is trained on, and to those that it is asked with, which are one.

The prompt is what the tokenizer's own chat template makes of the chat before the assistant's turn; the turn itself is
appended here. A template is never handed the turn: that of DeepSeek-R1-Distill cuts it down to what follows
`</think>`, so that a model is trained on answers without reasoning and nothing says so.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from curation.errors import BadInput

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase as Tokenizer

DEFAULT_MODEL = "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"
NOT_TRAINED = -100  # the label that the loss leaves out
OPENED = re.compile(r"<think>(\s*)\Z")

Messages = Sequence[Mapping[str, str]]  # role, content


class Rendered(NamedTuple):
    """One row as tokens: what the model is shown, and what it is trained to go on with, to the end of its turn."""

    prompt: str
    completion: str
    prompt_ids: list[int]
    completion_ids: list[int]

    @property
    def input_ids(self) -> list[int]:
        """Prompt and completion."""
        return self.prompt_ids + self.completion_ids

    @property
    def labels(self) -> list[int]:
        """As many as `input_ids`; the loss is taken on the completion alone."""
        return [NOT_TRAINED] * len(self.prompt_ids) + self.completion_ids


def load_tokenizer(model: str, template: Path | None = None) -> Tokenizer:
    """Return a model's tokenizer.

    Args:
        model: a folder or a name on the Hub.
        template: a file with a chat template to use in the place of the tokenizer's own.

    Raises:
        BadInput: no such model, no such file, or there is no chat template.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as e:
        raise BadInput("this needs the training extra: pip install 'synthpert[train]'") from e
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as e:
        raise BadInput(f"--model {model}: no tokenizer can be loaded: {str(e).strip().splitlines()[0]}") from e
    if template is not None:
        tokenizer.chat_template = _template(template)
    if not tokenizer.chat_template:
        raise BadInput(f"--model {model}: its tokenizer has no chat template; give one by --template FILE")
    if tokenizer.eos_token_id is None:
        raise BadInput(f"--model {model}: its tokenizer has no end-of-sequence token, so no answer would ever end")
    return tokenizer


def _template(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise BadInput.at(file, getattr(e, "strerror", None) or "bytes that are not UTF-8", "a chat template") from e


def question(messages: Messages) -> Messages:
    """Return a chat without the assistant's turn, if it has one."""
    return messages[:-1] if messages[-1]["role"] == "assistant" else messages


def prompt(tokenizer: Tokenizer, messages: Messages) -> str:
    """Return the text that a model is asked with: the chat before the assistant's turn, and the turn opened.

    Raises:
        BadInput: the chat template refuses the chat, or does not hold its words.
    """
    asked = question(messages)
    try:
        text = str(tokenizer.apply_chat_template(list(asked), tokenize=False, add_generation_prompt=True))
    except Exception as e:  # whatever a template raises: jinja2's errors, and those of the Python in it
        raise BadInput(f"the chat template refuses the chat: {str(e).splitlines()[0]}") from e
    for message in asked:
        if message["content"].strip() not in text:
            raise BadInput(f"the chat template leaves out what the {message['role']} says; another by --template FILE")
    return text


def prompt_ids(tokenizer: Tokenizer, messages: Messages) -> list[int]:
    """Return the tokens that a model is asked with: those that stand before the trained ones, whatever they are."""
    return encode(tokenizer, [prompt(tokenizer, messages)])[0]


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Return the tokens of texts that hold all their special tokens: the tokenizer adds none, so BOS is not doubled."""
    return tokenizer(list(texts), add_special_tokens=False, padding=False, truncation=False, verbose=False)["input_ids"]


def completion(prompt: str, content: str) -> str:
    """Return an assistant's turn as it goes on from a prompt, which may have opened the reasoning already.

    The newer revisions of DeepSeek-R1-Distill's template open `<think>` themselves. A turn without reasoning closes
    such a `<think>` at once.
    """
    opened = OPENED.search(prompt)
    if not opened:
        return content
    if not content.startswith("<think>"):
        return f"</think>\n{content}"
    rest, space = content.removeprefix("<think>"), opened[1]
    return rest.removeprefix(space) if rest.startswith(space) else rest.lstrip()


def answer_alone(messages: Messages) -> Messages:
    """Return a chat whose last turn has lost its reasoning: what a baseline without reasoning is trained on."""
    turn = messages[-1]["content"]
    return [*messages[:-1], {"role": "assistant", "content": turn[max(turn.rfind("<answer>"), 0) :]}]


def render(tokenizer: Tokenizer, messages: Messages) -> Rendered:
    """Render one chat that ends with the assistant's turn."""
    return render_all(tokenizer, [messages])[0]


def render_all(tokenizer: Tokenizer, chats: Sequence[Messages]) -> list[Rendered]:
    """Render chats that end with the assistant's turn; many at once are several times as fast as one by one.

    Raises:
        BadInput: a chat has no such turn, or the template refuses it.
    """
    if any(chat[-1]["role"] != "assistant" for chat in chats):
        raise BadInput("this chat ends with the question, so there is nothing to train on: take train or validation")
    asked = [prompt(tokenizer, chat) for chat in chats]
    told = [completion(p, chat[-1]["content"]) + str(tokenizer.eos_token) for p, chat in zip(asked, chats, strict=True)]
    heads = encode(tokenizer, asked)
    wholes = encode(tokenizer, [p + c for p, c in zip(asked, told, strict=True)])
    return [
        Rendered(p, c, head, _after(tokenizer, head, whole, c))
        for p, c, head, whole in zip(asked, told, heads, wholes, strict=True)
    ]


def _after(tokenizer: Tokenizer, head: list[int], whole: list[int], completion: str) -> list[int]:
    """Return the completion's tokens. Where it would merge with the prompt's last token it is tokenised by itself:
    the model goes on from the prompt's tokens as they are."""
    return whole[len(head) :] if whole[: len(head)] == head else encode(tokenizer, [completion])[0]


def check(tokenizer: Tokenizer, row: Rendered, reasoning: str | None = None) -> str | None:
    """Tell what is wrong with the tokens of a row, in words; None where all is as it should be.

    Args:
        tokenizer: its tokenizer.
        row: the row.
        reasoning: what must stand in the trained part; None for answers alone.
    """
    trained = [label for label in row.labels if label != NOT_TRAINED]
    text = _plain(tokenizer.decode(trained, skip_special_tokens=False, clean_up_tokenization_spaces=False))
    if not trained or trained[-1] != tokenizer.eos_token_id:
        return f"the trained part ends with {text[-20:]!r}, wanted {tokenizer.eos_token}"
    if reasoning is not None and _plain(reasoning).strip() not in text:
        return f"the reasoning is not in the trained part, which begins {text[:60]!r}"
    if reasoning is not None and "</think>" not in text:
        return "the trained part has no </think>"
    if "<answer>" not in text or "</answer>" not in text:
        return f"the trained part has no <answer>...</answer>; it ends {text[-60:]!r}"
    if text != _plain(row.completion):
        return f"the tokens of the trained part read back otherwise than its text, which begins {row.completion[:60]!r}"
    return _specials(tokenizer, row)


def _specials(tokenizer: Tokenizer, row: Rendered) -> str | None:
    """Tell of a doubled or missing BOS, and of special tokens that came out of the words of a turn."""
    bos, inside = tokenizer.bos_token_id, row.completion_ids[:-1]
    if inner := set(inside) & {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}:
        return f"the trained part holds {tokenizer.convert_ids_to_tokens(min(inner))} before its end"
    if bos is None:
        return None
    wanted = int(adds_bos(tokenizer) or bos in row.prompt_ids)
    if (found := row.prompt_ids.count(bos)) != wanted or (wanted and row.prompt_ids[0] != bos):
        return f"{found} of {tokenizer.bos_token}, wanted {wanted}, at the start"
    return None


def adds_bos(tokenizer: Tokenizer) -> bool:
    """Tell whether a tokenizer puts BOS before a plain text, as its model was trained to see it."""
    ids = tokenizer("a")["input_ids"]
    return tokenizer.bos_token_id is not None and ids[:1] == [tokenizer.bos_token_id]


def _plain(text: str) -> str:
    """Return a text in the form in which some tokenizers see it."""
    return unicodedata.normalize("NFC", text)


def facts(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return what names a rendering: the chat template's hash and the tokenizer's class and size."""
    digest = hashlib.sha256(str(tokenizer.chat_template).encode()).hexdigest()[:16]
    return {"template": digest, "tokenizer": type(tokenizer).__name__, "vocabulary": len(tokenizer)}
