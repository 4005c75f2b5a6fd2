"""Export: a side of a dataset as one file in a form that other trainers and tools read."""

from __future__ import annotations

import csv
import filecmp
import io
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson
import pyarrow.compute as pc

from curation.errors import BadInput
from curation.printing import shown
from curation.published import Published, open_dataset
from curation.rebuild import rebuild
from curation.rendering import question
from curation.store import Store

STDOUT = "-"
# what a spreadsheet takes for a formula gets an apostrophe, which `importing.records` takes off again
FORMULA = re.compile(r"'*[=+\-@\t\r]")

Row = Mapping[str, Any]


class Exported(NamedTuple):
    """What an export wrote; `written` is false where the file was there already, the same to the byte.

    `unmarked` are the simulated rows among `rows`, where the format has no place to say so.
    """

    dataset: str
    split: str
    side: str
    format: str
    out: str
    rows: int
    unmarked: int
    written: bool

    def __repr__(self) -> str:
        return shown(self)


class Format(NamedTuple):
    """How rows are written: the columns that are read (None: all are told), the line of a row, the lines before all."""

    columns: Sequence[str] | None
    line: Callable[[Row], bytes]
    head: Callable[[Sequence[str]], bytes] = lambda columns: b""


def export(
    ref: str, kind: str, out: Path | str, *, split: str = "default", side: str = "train", store: Store | None = None
) -> Exported:
    """Write one side of a dataset as a file, which is there whole or not at all.

    Args:
        ref: a version's folder, ORG/REPO@REVISION on the Hub, or NAME@VERSION of the store.
        kind: trl (JSON lines of `prompt` and `completion`), openai (JSON lines of `messages`) or csv (all columns).
        out: the file; `-` is stdout.
        split: the split.
        side: train, validation or test; the last holds questions alone, which openai has no place for.
        store: the store that has NAME@VERSION.

    Raises:
        BadInput: no such dataset, split, side or format, the file holds something else, or it cannot be written.
    """
    if kind not in FORMATS:
        raise BadInput(f"--format {kind}: not one of {', '.join(FORMATS)}")
    if kind == "openai" and side == "test":
        raise BadInput(
            "--side test: its rows are questions without an answer, which openai does not take; trl and csv do"
        )
    with _opened(ref, store) as dataset:
        if str(out) == STDOUT:
            counts, written = _write(sys.stdout.buffer, dataset, FORMATS[kind], split, side), True
        else:
            counts, written = _to_file(Path(out), dataset, FORMATS[kind], split, side)
    return Exported(ref, split, side, kind, str(out), *counts, written)


@contextmanager
def _opened(ref: str, store: Store | None) -> Iterator[Published]:
    """Open a dataset; a version of the store is written again for the while of the block."""
    if store is None:
        yield open_dataset(ref)
        return
    with tempfile.TemporaryDirectory(prefix="synthpert-") as folder:
        yield open_dataset(rebuild(store, ref, out=Path(folder) / "dataset").out)


def _write(to: IO[bytes], dataset: Published, form: Format, split: str, side: str) -> tuple[int, int]:
    """Write the lines of one side; returns how many rows, and how many of them are simulated and do not say so."""
    rows = unmarked = 0
    for batch in dataset.batches(split, side, form.columns):
        if not rows:
            to.write(form.head(batch.schema.names))
        rows += batch.num_rows
        unmarked += pc.sum(batch["simulated"]).as_py() or 0 if form.columns else 0
        to.writelines(map(form.line, batch.to_pylist()))
    to.flush()
    return rows, unmarked


def _to_file(out: Path, dataset: Published, form: Format, split: str, side: str) -> tuple[tuple[int, int], bool]:
    """Write beside the file and move it into place when it is whole; returns what `_write` does, and if it is new."""
    if not out.name:
        raise BadInput(f"--output {out}: this is no file; name one")
    partial = out.with_name(f".{out.name}.partial")
    try:
        with open(partial, "wb") as to:
            counts = _write(to, dataset, form, split, side)
            os.fsync(to.fileno())
        if new := not out.exists():
            partial.rename(out)
        elif not (out.is_file() and filecmp.cmp(partial, out, shallow=False)):
            raise BadInput(f"--output {out}: it holds something else, and is not written over; name another")
        return counts, new
    except OSError as e:
        raise BadInput(f"--output {out}: {e.strerror or e}; nothing was written") from e
    finally:
        with suppress(OSError):
            partial.unlink()


# -- the lines


def _trl(row: Row) -> bytes:
    """TRL's conversational prompt and completion: the loss is taken on the completion alone. A test row has none."""
    messages = row["messages"]
    asked = list(question(messages))
    parts = {"prompt": asked, "completion": messages[len(asked) :]}
    return orjson.dumps({k: v for k, v in parts.items() if v}, option=orjson.OPT_APPEND_NEWLINE)


def _openai(row: Row) -> bytes:
    """The chat format of OpenAI's fine-tuning: `messages` of role and content, and nothing besides."""
    chat = [{"role": m["role"], "content": m["content"]} for m in row["messages"]]
    return orjson.dumps({"messages": chat}, option=orjson.OPT_APPEND_NEWLINE)


def _csv(row: Row) -> bytes:
    return _cells([_cell(value) for value in row.values()])


def _cells(cells: Sequence[str]) -> bytes:
    line = io.StringIO(newline="")
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()


def _cell(value: Any) -> str:
    """Return a value as it stands in a cell: null as nothing, lists as JSON, a text that is no formula by accident."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if FORMULA.match(value) else value
    return orjson.dumps(value).decode()


FORMATS: Mapping[str, Format] = {
    "trl": Format(("messages", "simulated"), _trl),
    "openai": Format(("messages", "simulated"), _openai),
    "csv": Format(None, _csv, _cells),
}
