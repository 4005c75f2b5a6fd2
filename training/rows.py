"""Rows: a dataset's rows as the tokens of one model, each looked at before the first step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import BadInput
from curation.published import Published, open_dataset
from curation.rendering import NOT_TRAINED, Rendered, answer_alone, check, load_tokenizer, render_all

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase as Tokenizer

COLUMNS = ["messages", "trace_id", "example_id", "reasoning", "weight", "simulated"]
SCHEMA = pa.schema([("input_ids", pa.list_(pa.int32())), ("labels", pa.list_(pa.int32()))])
AT_ONCE = 1_000


class Rows(NamedTuple):
    """One side as tokens: a table of input_ids and labels, and the ids and lengths of the rows that did not fit."""

    table: pa.Table
    too_long: dict[str, int]
    weighted: bool  # a recipe gave rows other weights than one
    simulated: bool  # something in a row comes from a rehearsal

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return pc.max(pc.list_value_length(self.table["input_ids"])).as_py()

    @property
    def tokens(self) -> int:
        """Tokens of all rows."""
        return len(pc.list_flatten(self.table["input_ids"]))

    @property
    def trained(self) -> int:
        """Those of them that the loss is on."""
        return pc.sum(pc.not_equal(pc.list_flatten(self.table["labels"]), NOT_TRAINED)).as_py()


def tokens(
    data: Published, split: str, side: str, tokenizer: Tokenizer, *, max_length: int, direct: bool = False
) -> Rows:
    """Render a side of a split.

    Args:
        data: the dataset.
        split: the split.
        side: train or validation.
        tokenizer: the model's.
        max_length: tokens; a longer row is left out and counted, never cut.
        direct: answers alone.

    Raises:
        BadInput: a row is not as it should be; its id and what was found are told. Or no row fits.
    """
    table = data.table(split, side, COLUMNS)
    batches, too_long = [], {}
    for part in table.to_batches(max_chunksize=AT_ONCE):
        kept = []
        for row_id, row in rendered(part.to_pylist(), tokenizer, direct):
            if (n := len(row.input_ids)) > max_length:
                too_long[row_id] = n
            else:
                kept.append({"input_ids": row.input_ids, "labels": row.labels})
        batches.append(pa.RecordBatch.from_pylist(kept, SCHEMA))
    weights = pc.unique(table["weight"].drop_null()).to_pylist()
    found = Rows(pa.Table.from_batches(batches, SCHEMA), too_long, weights not in ([], [1.0]), _any(table["simulated"]))
    if not found.table.num_rows:
        raise BadInput(f"{data.ref}, {split}, {side}: none of its {len(too_long)} rows fits {max_length} tokens")
    return found


def _any(column: pa.ChunkedArray) -> bool:
    return bool(pc.any(pc.fill_null(column, False)).as_py())


def rendered(rows: list[dict[str, Any]], tokenizer: Tokenizer, direct: bool) -> Iterator[tuple[str, Rendered]]:
    """Render rows and look at each.

    Yields:
        The row's id, that of its trace where it has one, and its tokens.

    Raises:
        BadInput: a row is not as it should be.
    """
    chats = [answer_alone(r["messages"]) if direct else r["messages"] for r in rows]
    for row, made in zip(rows, render_all(tokenizer, chats), strict=True):
        row_id = row["trace_id"] or row["example_id"]
        if wrong := check(tokenizer, made, None if direct else row["reasoning"]):
            raise BadInput(f"row {row_id}: {wrong}")
        yield row_id, made


def shown(
    dataset: str, split: str, side: str, n: int, model: str, template: Path | None, direct: bool
) -> list[dict[str, Any]]:
    """Return the first rows of a side as they are trained on, read back from their tokens.

    Returns:
        id, prompt, completion, tokens_prompt, tokens_completion.
    """
    table = open_dataset(dataset).table(split, side, COLUMNS).slice(0, n)
    tokenizer = load_tokenizer(model, template)
    return [
        {
            "id": row_id,
            "prompt": tokenizer.decode(made.prompt_ids, clean_up_tokenization_spaces=False),
            "completion": tokenizer.decode(made.completion_ids, clean_up_tokenization_spaces=False),
            "tokens_prompt": len(made.prompt_ids),
            "tokens_completion": len(made.completion_ids),
        }
        for row_id, made in rendered(table.to_pylist(), tokenizer, direct)
    ]
