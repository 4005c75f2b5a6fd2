"""Tasks: which examples of a dataset are asked about, and in what words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import BadInput
from curation.prompting import Prompt, load
from curation.published import Published
from curation.schema import LABELS
from eval.blinding import blinded
from eval.sides import EXAMPLE
from eval.words import ASKED, DIRECTION, THREE_CLASS


class Wanted(NamedTuple):
    """What is to be predicted.

    split, side: of the dataset. task: three-class, or direction, which asks about the examples that change, and says
    so. sample: so many examples, in an order that the seed gives, so that a larger sample contains a smaller one.
    blind: gene symbols are replaced by codes. prompts: a folder of the user's own prompt files, for direction.
    """

    split: str = "default"
    side: str = "test"
    task: str = THREE_CLASS
    sample: int | None = None
    seed: int = 0
    blind: bool = False
    prompts: Path | None = None


class Question(NamedTuple):
    """One example and the chat that asks about it."""

    example: dict[str, Any]  # EXAMPLE
    prompt: Prompt
    messages: list[dict[str, str]]


def examples(dataset: Published, wanted: Wanted) -> pa.Table:
    """Return the examples that are asked about, each once, with the dataset's own question, in the order of asking.

    Raises:
        BadInput: no such split, side or task, or nothing is left to ask.
    """
    if wanted.task not in ASKED:
        raise BadInput(f"--task {wanted.task}: not one of {', '.join(ASKED)}")
    if wanted.prompts and wanted.task == THREE_CLASS:
        raise BadInput("--prompts: the task three-class asks the questions of the dataset; for direction alone")
    rows = dataset.table(wanted.split, wanted.side, [*EXAMPLE, "messages", "prompt"])
    if wanted.task == DIRECTION:
        rows = rows.filter(pc.not_equal(rows["label"], LABELS[2]))
    first: dict[str, int] = {}
    for n, example_id in enumerate(rows["example_id"].to_pylist()):
        first.setdefault(_place(wanted.seed, example_id), n)
    order = [first[place] for place in sorted(first)][: wanted.sample]
    if not order:
        raise BadInput(f"{dataset.ref}: no example on the side {wanted.side} of {wanted.split} for {wanted.task}")
    return rows.take(pa.array(order))


def questions(rows: pa.Table, wanted: Wanted) -> Iterator[Question]:
    """Yield the questions about examples: those that the dataset holds, or for direction that of the prompt files.

    Source: the paper's Appendix C.1 and C.2; blinding is this project's own.
    """
    direction = load("direction", wanted.prompts)
    for batch in rows.to_batches(max_chunksize=1_000):
        for row in batch.to_pylist():
            example = {column: row[column] for column in EXAMPLE}
            if wanted.task == DIRECTION:
                prompt, messages = direction, direction.messages(**{c: row[c] for c in ("pert", "gene", "cell_line")})
            else:
                prompt = Prompt("standard", "", "", row["prompt"])
                messages = [m for m in row["messages"] if m["role"] != "assistant"]
            yield Question(example, prompt, blinded(messages, row["pert"], row["gene"]) if wanted.blind else messages)


def _place(seed: int, example_id: str) -> str:
    return hashlib.sha256(f"{seed}\x1f{example_id}".encode()).hexdigest()
