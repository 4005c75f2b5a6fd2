"""The checks' expressions, from patterns.toml, with their {slots} filled in and compiled once."""

from __future__ import annotations

import hashlib
import re
import tomllib
from functools import cache
from importlib import resources
from typing import Any


@cache
def text() -> str:
    """Return the text of patterns.toml."""
    return (resources.files("curation.checks") / "patterns.toml").read_text("utf-8")


def version() -> str:
    """Return what changes with the text: 6 hex digits."""
    return hashlib.sha256(text().encode()).hexdigest()[:6]


@cache
def section(name: str) -> dict[str, Any]:
    """Return a section of the file."""
    return tomllib.loads(text())[name]


def expression(pattern: str) -> re.Pattern[str]:
    """Compile a pattern: its {slots} are alternatives of [words], its blanks any white space."""
    return re.compile(_spaced(_filled(pattern)), re.I)


@cache
def word(*names: str) -> re.Pattern[str]:
    """Compile what finds a word of these lists, alone."""
    return expression(rf"\b(?:{'|'.join('{' + n + '}' for n in names)})\b")


def _filled(pattern: str) -> str:
    words = section("words")
    # a list may name another; none names itself
    while named := re.search(r"{([a-z_]+)}", pattern):
        pattern = pattern.replace(named[0], f"(?:{'|'.join(words[named[1]])})")
    return pattern


def _spaced(pattern: str) -> str:
    return pattern.replace(" ?", r"\s*").replace(" ", r"\s+")
