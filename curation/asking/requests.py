"""What is asked, and of whom. A request's id is a hash of all that changes the answer: it is the cache key."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from curation.asking import prices
from curation.config import model_settings
from curation.errors import EndpointError
from curation.prompting import Prompt

OPENAI = "https://api.openai.com/v1"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
NO_KEY = "none"  # what is sent where none was given
SECRET = 16  # characters of a key that no answer holds by chance, as it may `local` or `test`


class Endpoint(NamedTuple):
    """A model at an address. `key` is never written down anywhere."""

    model: str
    base_url: str
    key: str
    provider: str
    params: dict[str, Any]
    price: dict[str, float]  # dollars for a million tokens: input, output, cached

    def __repr__(self) -> str:
        """Show all but the key: a notebook keeps what its cells show."""
        shown = {**self._asdict(), "key": "***" if self.key else ""}
        return f"Endpoint({', '.join(f'{k}={v!r}' for k, v in shown.items())})"

    def given(self, samples: int, prompts: Path | None) -> dict[str, Any]:
        """Return what a run notes of its model, as one types it; a folder by its name alone."""
        params = [f"{k}={orjson.dumps(v).decode()}" for k, v in self.params.items()]
        found = {"model": self.model, "param": params, "prompts": prompts and prompts.name}
        return {k: v for k, v in found.items() if v} | ({"samples": samples} if samples > 1 else {})

    def hidden(self, text: str, *, answer: bool = False) -> str:
        """Return a text without the key that the user gave; an answer may hold a short one as a word of its own."""
        given = self.key != NO_KEY and len(self.key) >= (SECRET if answer else 4)
        return text.replace(self.key, "***") if given else text


class Request(NamedTuple):
    """One question: what it is about, and the messages that ask it."""

    stage: str
    subject_id: str
    prompt: Prompt
    messages: list[dict[str, str]]
    sample: int = 0
    outcome_shown: str | None = None

    def id(self, endpoint: Endpoint) -> str:
        """Return 16 hex digits of sha256 over the canonical JSON of what changes the answer."""
        said = {
            "provider": endpoint.provider,
            "model": endpoint.model,
            "messages": self.messages,
            "params": endpoint.params,
            "sample": self.sample,
        }
        return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]

    def row(self, request_id: str, endpoint: Endpoint, attempt: int) -> dict[str, Any]:
        """Return the columns of `responses` that tell what was asked, and of whom."""
        return {
            "request_id": request_id,
            "subject_id": self.subject_id,
            "stage": self.stage,
            "provider": endpoint.provider,
            "model": endpoint.model,
            "params": orjson.dumps(endpoint.params, option=orjson.OPT_SORT_KEYS).decode(),
            "messages": self.messages,
            "sample": self.sample,
            "prompt": self.prompt.name,
            "prompt_hash": self.prompt.hash,
            "outcome_shown": self.outcome_shown,
            "attempt": attempt,
        }


def endpoint(
    model: str, params: dict[str, Any] | None = None, *, keyless: bool = False, base_url: str | None = None
) -> Endpoint:
    """Return where a model is asked, from ./synthpert.toml and OPENAI_BASE_URL and OPENAI_API_KEY.

    A model's own table in the file goes before OPENAI_BASE_URL, so that a generator and a critic may live at
    two addresses; `base_url` goes before both. `keyless` asks for no key, for who only wants to know where and at what
    price.

    Raises:
        EndpointError: no key, or an address that is none.
    """
    given = model_settings(model)
    base_url = base_url or given.get("base_url") or os.environ.get("OPENAI_BASE_URL") or OPENAI
    try:
        place = urlsplit(base_url)
        port = place.port
    except ValueError as e:
        raise EndpointError(f"{base_url!r} is no address of a model: {e}") from e
    if place.username or place.password:
        raise EndpointError("the model's address holds a user or password; give the key by its environment variable")
    if place.scheme not in ("http", "https") or not place.hostname:
        raise EndpointError(f"{base_url!r} is no address of a model; wanted http(s)://HOST[:PORT]/v1")
    variable = given.get("api_key_env", "OPENAI_API_KEY")
    key = os.environ.get(variable, "").strip()
    if not (key or keyless or place.hostname in LOOPBACK):
        raise EndpointError(f"{variable} is not set; {place.hostname} wants a key (any text, if it needs none)")
    if not key.isascii() or not key.isprintable():
        raise EndpointError(f"{variable} holds letters that no HTTP header takes")
    host = place.hostname + (f":{port}" if port else "")
    return Endpoint(
        model,
        base_url.rstrip("/"),
        key or NO_KEY,
        given.get("provider", host),
        {**given.get("params", {}), **(params or {})},
        given.get("price") or prices.shipped(host, model),
    )
