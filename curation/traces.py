"""Generate: ask a model to explain examples, and read its answers as traces."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation.asking.asked import Asked
from curation.asking.engine import find_provider
from curation.asking.reader import Reader
from curation.asking.requests import Endpoint, Request
from curation.asking.stage import How, Stage, ask_stage
from curation.prompting import Prompt, load
from curation.reading import PARSER, is_valid, read_trace
from curation.runs import run
from curation.schema import LABELS, content_id, now
from curation.selection import Selection, in_order, select
from curation.store import Store

APPROACHES = ("explain", "blind", "control")


def generate(
    store: Store,
    selection: Selection,
    target: Endpoint,
    *,
    approach: str = "explain",
    samples: int = 1,
    prompts: Path | None = None,
    how: How = How(),  # noqa: B008 - an immutable tuple
) -> Asked:
    """Ask for a trace of each example of a set, but for those that are answered already.

    Args:
        store: the store.
        selection: the set.
        target: the generator.
        approach: explain (the outcome is shown), blind (hidden) or control (a wrong one is shown).
        samples: answers an example.
        prompts: a folder of the user's own prompt files.
        how: limits and habits of asking.

    Returns:
        The count of requests.

    Source: the paper's section 3.2; `control` is this project's own, to test critics with.
    """
    args = {**selection.given(), "approach": approach, **target.given(samples, prompts)}
    stage, read, done = prepare(store, selection, target, approach, samples, prompts), TRACES.follow(store), None
    with run(store, "generate", args) as this:
        try:
            done = ask_stage(store, stage._replace(run_id=this.id, read=read), how)
            this.stopped = done.stopped is not None
            return done
        finally:
            read.end(done)
            store.compact()


def prepare(
    store: Store, selection: Selection, target: Endpoint, approach: str, samples: int, prompts: Path | None
) -> Stage:
    """Return what a generate has to ask; see there."""
    prompt = load(approach, prompts)
    chosen = select(store, selection)
    questions = partial(requests, chosen, prompt, approach, samples)
    total = chosen.num_rows * samples
    return Stage("generate", find_provider(target), questions, total, tally="accepted")


def shown_outcome(approach: str, example: dict[str, Any]) -> str | None:
    """Return the outcome that an approach shows the generator; for a control one of the two wrong ones."""
    if approach == "explain":
        return example["label"]
    if approach == "control":
        wrong = [label for label in LABELS if label != example["label"]]
        return wrong[hashlib.sha256(example["example_id"].encode()).digest()[0] % 2]
    return None


def requests(
    chosen: pa.Table, prompt: Prompt, approach: str, samples: int, shuffled: bool = False
) -> Iterator[Request]:
    """Yield the questions about a set of examples."""
    for batch in in_order(chosen, shuffled).to_batches(max_chunksize=1_000):
        for example in batch.to_pylist():
            outcome = shown_outcome(approach, example)
            values = {k: example[k] for k in ("pert", "gene", "cell_line")} | {"outcome": outcome or ""}
            messages = prompt.messages(**values)
            for sample in range(samples):
                yield Request("generate", example["example_id"], prompt, messages, sample, outcome)


def read_traces(store: Store) -> int:
    """Read the answers that no trace was read from yet, as after a kill or with a new reader; returns how many."""
    return TRACES.read(store)


def _trace(response: dict[str, Any]) -> dict[str, Any]:
    read = read_trace(response["text"], response["thinking"])
    return {
        "trace_id": content_id(response["response_id"]),  # so that a grade can never move to another text
        "request_id": response["request_id"],
        "example_id": response["subject_id"],
        "approach": response["prompt"],
        "generator": response["model"],
        "valid": is_valid(read),
        "parser": PARSER,
        "created": now(),
        **{k: response[k] for k in ("response_id", "outcome_shown", "provider", "prompt_hash", "sample", "run_id")},
        **{k: getattr(read, k) for k in ("reasoning", "answer", "think", "reason")},
    }


TRACES = Reader("generate", "traces", f"(FROM raw.traces WHERE parser = '{PARSER}')", _trace)
