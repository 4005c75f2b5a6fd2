"""Predict: ask a model about a side of a dataset, and read its answers as predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from curation.asking.asked import Asked
from curation.asking.engine import find_provider
from curation.asking.requests import Endpoint, Request
from curation.asking.stage import Ask, How, Stage, ask_stage
from curation.errors import BadInput
from curation.printing import shown
from curation.published import Published
from curation.reading import TraceReading, read_trace
from curation.runs import run
from curation.schema import LABELS, TABLES, content_id, now
from curation.selection import in_order
from curation.store import Store
from eval.blinding import MARK
from eval.predictions import SCHEMA, write
from eval.sql import query
from eval.tasks import Wanted, examples, questions
from eval.words import DIRECTION, HARD, IDK, PROBABILITIES, SHARE

STAGE = "predict"
ADDS = {label: tuple(float(label == other) for other in LABELS) for label in LABELS}  # to p_up, p_down, p_none


class Predicted(NamedTuple):
    """What a predict did. The fields from `asked` on count requests, as for generate."""

    out: str | None  # null if nothing was answered
    model: str
    dataset: str
    split: str
    side: str
    task: str
    examples: int  # that were to be predicted
    predicted: int  # of them, those with a reply; the others are not in the file
    abstained: int  # replies of I do not know
    unread: int  # replies in which no answer could be read
    score_kind: str
    asked: int
    answered: int
    cached: int
    failed: int
    usd: float | None
    left: int
    stopped: str | None

    def __repr__(self) -> str:
        return shown(self)


def predict(
    store: Store,
    dataset: Published,
    target: Endpoint,
    wanted: Wanted,
    out: Path,
    *,
    samples: int = 1,
    how: How = How(),  # noqa: B008 - an immutable tuple
    engine: Ask | None = None,
) -> Predicted:
    """Ask a model about a side of a dataset; what the store knows the answer of is not asked again.

    Args:
        store: keeps every reply, and the predictions.
        dataset: the dataset.
        target: the model.
        wanted: what is asked about, and how it is worded.
        out: the Parquet file to write, of `predictions.SCHEMA`, in the order of the ids.
        samples: answers an example; of several, the scores are the shares of the labels among them.
        how: limits and habits of asking.
        engine: what asks, if it is no endpoint: `local.Local.ask` for a model in this process.

    Returns:
        The counts. The file holds the examples that a reply came for, so that the coverage can be told from it.

    Raises:
        BadInput: the dataset has no such rows, or the file cannot be written.
    """
    rows = examples(dataset, wanted)
    if not out.resolve().parent.is_dir() or out.is_dir():  # told before anything is paid
        raise BadInput(f"--out {out}: found no folder to write this file to")
    if engine is None:
        target = find_provider(target)
    args = {"dataset": f"{dataset.name}@{dataset.version}", **_given(wanted), **target.given(samples, wanted.prompts)}
    with run(store, STAGE, args) as this:

        def requests(shuffled: bool) -> Iterator[Request]:
            for q in questions(in_order(rows, shuffled), wanted):
                for sample in range(samples):
                    yield Request(STAGE, q.example["example_id"], q.prompt, q.messages, sample)

        try:
            done = ask_stage(store, Stage(STAGE, target, requests, rows.num_rows * samples, this.id), how, engine)
            this.stopped = done.stopped is not None
        finally:
            found = _collected(store, dataset, target, wanted, rows, samples)
            store.append_new("predictions", _stored(found, this.id))
            store.compact()
        return _written(found, out, rows.num_rows, dataset, target, wanted, samples, done)


def _given(wanted: Wanted) -> dict[str, Any]:
    """Return what differs from the defaults, as one types it."""
    default = Wanted()
    found = {k: v for k, v in wanted._asdict().items() if v != getattr(default, k) or k in ("split", "side", "task")}
    return {k: v for k, v in found.items() if k != "prompts"}


def _collected(
    store: Store, dataset: Published, target: Endpoint, wanted: Wanted, rows: pa.Table, samples: int
) -> list[dict[str, Any]]:
    """Return the predictions of the examples that a reply came for, with their request ids."""
    asked = [(q, _ids(q, target, samples)) for q in questions(rows, wanted)]
    ids = [i for _, own in asked for i in own]
    replies = {r["request_id"]: r for r in store.rows(query("answers"), {"ids": ids})}
    facts = {
        "task": wanted.task,
        "model": target.model + (MARK if wanted.blind else ""),
        "dataset": f"{dataset.name}@{dataset.version}",
        "split": wanted.split,
        "side": wanted.side,
        "score_kind": HARD if samples == 1 else SHARE,
    }
    found = []
    for q, own in asked:
        read = [read_trace(replies[i]["text"], replies[i]["thinking"]) for i in own if i in replies]
        if read:
            request_ids = [i for i in own if i in replies]
            found.append({**q.example, **facts, **answered(read, wanted.task, samples), "request_ids": request_ids})
    return sorted(found, key=lambda row: row["example_id"])


def _ids(q: Any, target: Endpoint, samples: int) -> list[str]:
    return [Request(STAGE, q.example["example_id"], q.prompt, q.messages, n).id(target) for n in range(samples)]


def answered(read: list[TraceReading], task: str, samples: int) -> dict[str, Any]:
    """Return answer, reasoning, reason and scores of the readings of one example's replies.

    Of one sample the answer stands for itself, and scores are null. Of several, the answer is the most frequent label
    (in the task direction, the most frequent of the two), of equals the earliest, with the reasoning of its first; the
    scores are the labels' shares among the replies, so that what they lack to 1 had no answer.
    """
    told = [r.answer for r in read]
    options = LABELS[:2] if task == DIRECTION else LABELS
    labels = Counter(a for a in told if a in options)
    best = max(labels, key=lambda a: (labels[a], -told.index(a))) if labels else told[0]
    one = read[told.index(best)]
    found = {"answer": one.answer, "reasoning": one.reasoning, "reason": one.reason}
    if samples == 1:
        return found
    adds = [ADDS.get(a or "", (0.0, 0.0, 0.0)) for a in told]
    shares = (sum(column) / len(adds) for column in zip(*adds, strict=True))
    return found | dict(zip(PROBABILITIES, shares, strict=True))


def _stored(found: list[dict[str, Any]], run_id: str) -> pa.Table:
    """Return predictions as rows of the store's table."""
    rows = [
        {
            **row,
            "prediction_id": content_id(row["dataset"], row["task"], *row["request_ids"]),
            "request_id": row["request_ids"][0],
            "run_id": run_id,
            "created": now(),
        }
        for row in found
    ]
    return pa.Table.from_pylist(rows, TABLES["predictions"].schema)


def _written(
    found: list[dict[str, Any]],
    out: Path,
    wanted_rows: int,
    dataset: Published,
    target: Endpoint,
    wanted: Wanted,
    samples: int,
    done: Asked,
) -> Predicted:
    if found:
        write(pa.Table.from_pylist(found, SCHEMA), out)
    return Predicted(
        out=str(out) if found else None,
        model=target.model + (MARK if wanted.blind else ""),
        dataset=f"{dataset.name}@{dataset.version}",
        split=wanted.split,
        side=wanted.side,
        task=wanted.task,
        examples=wanted_rows,
        predicted=len(found),
        abstained=sum(row["answer"] == IDK for row in found),
        unread=sum(row["answer"] is None for row in found),
        score_kind=HARD if samples == 1 else SHARE,
        **done.json(),
    )
