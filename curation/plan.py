"""Plan: what a generate would ask, of whom, and what it and a critic would cost. Sends nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from curation.asking.replies import usd
from curation.asking.requests import Endpoint, Request
from curation.grades import Opinion, valid_traces
from curation.printing import shown
from curation.prompting import load
from curation.schema import REHEARSAL
from curation.selection import Selection, select
from curation.store import Store
from curation.traces import requests

ASSUMED_TOKENS_OUT = 1_000  # an answer, hidden reasoning included, until the model has answered here
ENOUGH = 20  # answers from which the store's own median is taken
CHARACTERS_A_TOKEN = 4


class Estimate(NamedTuple):
    """What asking a model would take; tokens and dollars are estimates, None where unknown."""

    requests: int
    host: str
    tokens_in: int
    tokens_out: int
    usd: float | None
    hours: float | None  # at this concurrency, if the model has answered here before
    measured: bool  # whether tokens_out rests on this model's own answers


class Plan(NamedTuple):
    """What would be asked: an `Estimate`, and of what."""

    requests: int  # to be sent; what is answered already is left out
    known: int
    host: str
    tokens_in: int
    tokens_out: int
    usd: float | None
    hours: float | None
    measured: bool
    by: list[dict[str, Any]]  # cell_line, label, n: examples
    grading: Estimate | None = None  # if a critic is named: at most, as not every trace will be valid

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
    would be asked is estimated likewise: about these traces, were all of them valid, of a reasoning as long as this
    model's are, or its answers; and about those of the set that are stored and that it has not graded.
    """
    prompt = load(approach, prompts)
    chosen = select(store, selection)
    answered = {r["request_id"] for r in store.rows("SELECT request_id FROM requests WHERE answered")}
    asked, characters = _count(requests(chosen, prompt, approach, samples), target, answered)
    found = _estimate(store, target, approach, asked, characters, concurrency)
    by = chosen.group_by(["cell_line", "label"]).aggregate([([], "count_all")]).rename_columns({"count_all": "n"})
    grading = None
    if critic:
        opinion = Opinion(load("critic", prompts), load("standard", prompts), samples=1)
        stored = valid_traces(store, selection, approach, False, critic.provider == REHEARSAL)
        ungraded, written = _count(opinion.asked(stored), critic, answered)
        written += round(asked * (_around(opinion) + _reasoning(store, target, approach)))
        grading = _estimate(store, critic, "critic", asked + ungraded, written, concurrency)
    return Plan(
        **found._asdict(),
        known=chosen.num_rows * samples - asked,
        by=by.sort_by([("cell_line", "ascending"), ("label", "ascending")]).to_pylist(),
        grading=grading,
    )


def _estimate(store: Store, target: Endpoint, prompt: str, asked: int, characters: int, concurrency: int) -> Estimate:
    """Estimate what so many requests take whose messages have so many characters."""
    tokens, seconds = _median(store, target, prompt)
    counts = {
        "tokens_in": characters // CHARACTERS_A_TOKEN,
        "tokens_out": round(asked * (tokens or ASSUMED_TOKENS_OUT)),
    }
    return Estimate(
        requests=asked,
        host=urlsplit(target.base_url).netloc.rpartition("@")[2],
        **counts,
        usd=usd(counts, target),
        hours=None if seconds is None else asked * seconds / concurrency / 3600,
        measured=tokens is not None,
    )


def _around(opinion: Opinion) -> int:
    """Return how many characters a critic is sent around a reasoning."""
    return len(opinion.standard.user) + sum(len(m["content"]) for m in opinion.critic.messages(query="", reasoning=""))


def _reasoning(store: Store, target: Endpoint, approach: str) -> float:
    """Return how many characters the reasoning of a model's trace has, or may have."""
    (found,) = store.rows(
        "SELECT median(length(reasoning)) AS characters, count(*) AS n FROM raw.traces "
        "WHERE valid AND provider = $provider AND generator = $model",
        {"provider": target.provider, "model": target.model},
    )
    if found["n"] >= ENOUGH:
        return found["characters"]
    return CHARACTERS_A_TOKEN * (_median(store, target, approach)[0] or ASSUMED_TOKENS_OUT)


def _count(wanted: Iterable[Request], target: Endpoint, answered: set[str]) -> tuple[int, int]:
    """Return how many requests are not answered, and the characters of their messages."""
    asked = characters = 0
    for request in wanted:
        if not answered or request.id(target) not in answered:
            asked += 1
            characters += sum(len(m["content"]) for m in request.messages)
    return asked, characters


def _median(store: Store, target: Endpoint, prompt: str) -> tuple[float | None, float | None]:
    found = store.rows(
        "SELECT median(tokens_out) AS tokens, median(seconds) AS seconds, count(*) AS n FROM responses "
        "WHERE failure IS NULL AND provider = $provider AND model = $model AND prompt = $prompt",
        {"provider": target.provider, "model": target.model, "prompt": prompt},
    )[0]
    return (found["tokens"], found["seconds"]) if found["n"] >= ENOUGH else (None, None)
