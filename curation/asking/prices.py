"""Prices: dollars for a million tokens, from a dated file; what it does not name is unknown, never guessed."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any


def shipped(host: str, model: str) -> dict[str, float]:
    """Return a model's price at a host as shipped: input, cached, output; empty if unknown."""
    return _file().get(host, {}).get(model, {})


def as_of() -> str:
    """Return the day of the shipped prices, YYYY-MM-DD."""
    return str(_file()["as_of"])


def _file() -> dict[str, Any]:
    return tomllib.loads((resources.files("curation") / "asking" / "prices.toml").read_text("utf-8"))
