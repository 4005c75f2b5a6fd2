"""Settings: an option of the command, then the environment, then ./synthpert.toml, then the default.

Keys are never in the file: it names the environment variable that holds one. `synthpert.toml` beside this file, which
`synthpert init` writes out, explains each line.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from curation.errors import BadInput

FILE = Path("synthpert.toml")
TOP: Mapping[str, type] = {"store": str, "models": dict}
PRICE = ("input", "cached", "output", "max_output")  # dollars for a million tokens; the longest answer, in tokens
OURS = ("messages", "model", "stream")  # of a request: no parameters of the answer
CLIENTS = ("direct", "sdk")  # ways to send a request; the first is the usual one
MODEL: Mapping[str, type] = {
    "base_url": str,
    "api_key_env": str,
    "provider": str,
    "params": dict,
    "price": dict,
    "requests_per_minute": int,
    "tokens_per_minute": int,
    "client": str,
}


def settings() -> dict[str, Any]:
    """Return what ./synthpert.toml says; empty if there is none.

    Raises:
        BadInput: it is no TOML, or holds a key or a type that nothing reads.
    """
    if not FILE.exists():
        return {}
    try:
        found = tomllib.loads(FILE.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise BadInput.at(FILE, f"no TOML ({e})", "lines such as: store = 'store'") from e
    _check(found, TOP, "")
    for name, model in found.get("models", {}).items():
        _check(model, MODEL, f"models.{name}.")
        _check_model(name, model)
    return found


def _check(found: Any, known: Mapping[str, type], where: str) -> None:
    if not isinstance(found, dict):
        raise BadInput.at(FILE, f"{where.rstrip('.')} = {found!r}", f"a table [{where.rstrip('.')}]")
    for key, value in found.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            wanted = f"{where}{near[0]}" if near else f"one of {', '.join(where + k for k in known)}"
            raise BadInput.at(FILE, f"the key {where}{key}", wanted)
        if not isinstance(value, known[key]):
            raise BadInput.at(FILE, f"{where}{key} = {value!r}", f"a {known[key].__name__}")


def _check_model(name: str, model: Mapping[str, Any]) -> None:
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", variable := model.get("api_key_env", "A")):
        wanted = "the name of an environment variable, such as OPENAI_API_KEY"
        # what stands there may be a key, so it is not repeated
        raise BadInput.at(FILE, f"models.{name}.api_key_env of {len(variable)} characters", wanted)
    if (client := model.get("client", CLIENTS[0])) not in CLIENTS:
        raise BadInput.at(FILE, f"models.{name}.client = {client!r}", f"one of {', '.join(CLIENTS)}")
    for key in OURS:
        if key in model.get("params", {}):
            raise BadInput.at(FILE, f"models.{name}.params.{key}", "a parameter of the answer, such as temperature")
    for limit in ("requests_per_minute", "tokens_per_minute"):
        if model.get(limit, 1) < 1:
            raise BadInput.at(FILE, f"models.{name}.{limit} = {model[limit]}", "1 or more; leave it out for no limit")
    for kind, price in model.get("price", {}).items():
        if kind not in PRICE or not isinstance(price, int | float) or not 0 <= price < math.inf:
            raise BadInput.at(
                FILE,
                f"models.{name}.price.{kind} = {price!r}",
                f"dollars for {', '.join(PRICE[:3])}, or tokens for {PRICE[3]}",
            )


def write_default() -> Path:
    """Write a commented synthpert.toml into the working folder.

    Raises:
        BadInput: there is one.
    """
    text = (resources.files("curation") / "synthpert.toml").read_text("utf-8")
    try:
        with open(FILE, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as e:
        raise BadInput(f"{FILE}: there is one already, and it is left as it is") from e
    return FILE


def store_place(option: str | None) -> str:
    """Return where the store lies."""
    return option or os.environ.get("SYNTHPERT_STORE") or settings().get("store") or "store"


def model_settings(model: str) -> dict[str, Any]:
    """Return the config's table for a model, empty if it has none."""
    return settings().get("models", {}).get(model, {})
