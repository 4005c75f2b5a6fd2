"""Blinding: gene symbols replaced by codes, so that nothing but the question's form is left to answer from.

What a model loses by it rests on the names: on what it has read, or was trained on, about these genes.
Source: the idea of Epistemic Blinding (arXiv 2604.06013).
"""

from __future__ import annotations

import hashlib
import re

from curation.errors import BadInput

MARK = " (blinded)"  # after the model's name


def code(symbol: str) -> str:
    """Return the code of a symbol: always the same one, whatever the dataset, the line or the part it plays."""
    return f"GENE-{hashlib.sha256(symbol.encode()).hexdigest()[:8].upper()}"


def blinded(messages: list[dict[str, str]], *symbols: str) -> list[dict[str, str]]:
    """Return a chat with these symbols replaced by their codes in what the user says.

    Raises:
        BadInput: a symbol does not stand there as a word, so that nothing would be hidden.
    """
    return [{**m, "content": _hidden(m["content"], symbols)} if m["role"] == "user" else m for m in messages]


def _hidden(text: str, symbols: tuple[str, ...]) -> str:
    for symbol in symbols:
        if not re.search(_word(symbol), text):
            raise BadInput(f"--blind-symbols: {symbol} does not stand in the question {text[:80]!r}")
    either = "|".join(_word(symbol) for symbol in sorted(symbols, key=len, reverse=True))
    return re.sub(either, lambda found: code(found[0]), text)


def _word(symbol: str) -> str:
    return rf"(?<![\w-]){re.escape(symbol)}(?![\w-])"
