"""Plan: what a generate would ask, of whom, and what it and a critic would cost. Sends nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from curation.asking.replies import usd
from curation.asking.requests import Endpoint, Request
from curation.printing import shown
from curation.prompting import load
from curation.selection import Selection, select
from curation.store import Store
from curation.traces import requests

ASSUMED_TOKENS_OUT = 1_000  # an answer, hidden reasoning included, until the model has answered here
ENOUGH = 20  # answers from which the store's own median is taken
CHARACTERS_A_TOKEN = 4


class Grading(NamedTuple):
    """What a critic would be asked about the traces of a plan, were all of them valid; see `Plan`."""

    requests: int
    host: str
    tokens_in: int
    tokens_out: int
    usd: float | None
    hours: float | None
    measured: bool


class Plan(NamedTuple):
    """What would be asked; tokens and dollars are estimates, None where unknown."""

    requests: int  # to be sent; what is answered already is left out
    known: int
    host: str
    tokens_in: int
    tokens_out: int
    usd: float | None
    hours: float | None  # at this concurrency, if the model has answered here before
    measured: bool  # whether tokens_out rests on this model's own answers
    by: list[dict[str, Any]]  # cell_line, label, n: examples
    grading: Grading | None = None  # if a critic is named

    def __repr__(self) -> str:
        return shown(self)


def plan(
    store: Store,
    selection: Selection,
    target: Endpoint,
    *,
    approach: str = "explain",
    samples: int = 1,
    prompts: Path | None = None,
    concurrency: int = 64,
    critic: Endpoint | None = None,
) -> Plan:
    """Count the requests that `generate` with the same options would send, and estimate tokens, dollars and hours.

    Prompt tokens are taken as characters / 4. An answer's tokens and seconds are the median of this model's own
    answers in the store, or 1,000 tokens and no known time where there are fewer than 20. With a critic, what it
    would be asked about these traces is estimated likewise, of a reasoning as long as this model's are, or its answers.
    """
    prompt = load(approach, prompts)
    chosen = select(store, selection)
    answered = {r["request_id"] for r in store.rows("SELECT request_id FROM requests WHERE answered")}
    asked, characters = _count(requests(chosen, prompt, approach, samples), target, answered)
    tokens, seconds = _median(store, target, approach)
    tokens_in = characters // CHARACTERS_A_TOKEN
    tokens_out = round(asked * (tokens or ASSUMED_TOKENS_OUT))
    by = chosen.group_by(["cell_line", "label"]).aggregate([([], "count_all")]).rename_columns({"count_all": "n"})
    return Plan(
        requests=asked,
        known=chosen.num_rows * samples - asked,
        host=_host(target),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        usd=usd({"tokens_in": tokens_in, "tokens_out": tokens_out}, target),
        hours=None if seconds is None else asked * seconds / concurrency / 3600,
        measured=tokens is not None,
        by=by.sort_by([("cell_line", "ascending"), ("label", "ascending")]).to_pylist(),
        grading=critic and _grading(store, critic, asked, _reasoning(store, target, tokens), prompts, concurrency),
    )


def _grading(
    store: Store, critic: Endpoint, asked: int, characters: float, prompts: Path | None, concurrency: int
) -> Grading:
    """Estimate what a critic is asked about so many traces whose reasoning is so long."""
    prompt, query = load("critic", prompts), load("standard", prompts).user
    words = len(query) + characters + sum(len(m["content"]) for m in prompt.messages(query="", reasoning=""))
    tokens, seconds = _median(store, critic, "critic")
    tokens_in, tokens_out = round(asked * words / CHARACTERS_A_TOKEN), round(asked * (tokens or ASSUMED_TOKENS_OUT))
    cost = usd({"tokens_in": tokens_in, "tokens_out": tokens_out}, critic)
    hours = None if seconds is None else asked * seconds / concurrency / 3600
    return Grading(asked, _host(critic), tokens_in, tokens_out, cost, hours, tokens is not None)


def _reasoning(store: Store, target: Endpoint, tokens: float | None) -> float:
    """Return how many characters the reasoning of a model's trace has, or may have."""
    (found,) = store.rows(
        "SELECT median(length(reasoning)) AS characters, count(*) AS n FROM raw.traces "
        "WHERE valid AND provider = $provider AND generator = $model",
        {"provider": target.provider, "model": target.model},
    )
    return found["characters"] if found["n"] >= ENOUGH else CHARACTERS_A_TOKEN * (tokens or ASSUMED_TOKENS_OUT)


def _host(endpoint: Endpoint) -> str:
    return urlsplit(endpoint.base_url).netloc.rpartition("@")[2]


def _count(wanted: Iterable[Request], target: Endpoint, answered: set[str]) -> tuple[int, int]:
    """Return how many requests are not answered, and the characters of their messages."""
    asked = characters = 0
    for request in wanted:
        if not answered or request.id(target) not in answered:
            asked += 1
            characters += sum(len(m["content"]) for m in request.messages)
    return asked, characters


def _median(store: Store, target: Endpoint, approach: str) -> tuple[float | None, float | None]:
    found = store.rows(
        "SELECT median(tokens_out) AS tokens, median(seconds) AS seconds, count(*) AS n FROM responses "
        "WHERE failure IS NULL AND provider = $provider AND model = $model AND prompt = $prompt",
        {"provider": target.provider, "model": target.model, "prompt": approach},
    )[0]
    return (found["tokens"], found["seconds"]) if found["n"] >= ENOUGH else (None, None)
