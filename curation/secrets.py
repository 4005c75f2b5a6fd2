"""Secrets: texts shaped like a key, looked for in all that is to be published; told by place and kind, never shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# no letter or digit before it, but for what escapes end with: a word boundary is not the same to RE2 (Arrow's) and to
# Python's re, for which letters of all scripts and _ are parts of words
START = r"(?:^|[^A-Za-z0-9]|\\[bfnrt]|\\u[0-9A-Fa-f]{4})"
# kind -> pattern, in what both engines read; the first group is the key
KINDS = {
    "private key": r"(-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY)",
    "API key (sk-...)": START + r"(sk-[A-Za-z0-9_-]{20,})",
    "Hugging Face token": START + r"((?:hf_|api_org_)[A-Za-z0-9]{30,})",
    "AWS access key": START + r"((?:AKIA|ASIA)[0-9A-Z]{16})(?:[^A-Za-z0-9]|$)",
    "AWS secret key": r"((?i:aws_secret_access_key|aws_session_token)[\"']?\s*[=:]\s*[\"']?[A-Za-z0-9/+=]{40,})",
    "GitHub token": START + r"(gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})",
    "Google API key": START + r"(AIza[0-9A-Za-z_-]{35})",
    "API key": START + r"((?:gsk_|xai-|nvapi-|r8_|pplx-|csk-|glpat-)[A-Za-z0-9_-]{20,})",
    "Slack token": START + r"(xox[abeoprs]-[0-9A-Za-z-]{10,})",
    "bearer token": START + r"((?i:bearer)\s+[A-Za-z0-9._~+/-]{20,})",
    "JSON web token": START + r"(eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})",
    "password in an address": START + r"([A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@]{0,64}:[^\s/:@]{3,}@)",
}
UNNAMED = "a key of some kind"
ANY = "|".join(KINDS.values())
# long words joined by hyphens have these shapes too, and no key is without a digit
WITH_DIGIT = {"API key (sk-...)", "API key", "bearer token"}
IDS = ("clause_id", "trace_id", "example_id")
BATCH = 2_000  # rows


class Found(NamedTuple):
    """Where something stands that looks like a key: a column of a row of a Parquet file, or a line of a text."""

    file: str
    kind: str
    row: str | None = None
    column: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        place = f"line {self.line}" if self.line else f"row {self.row}, column {self.column}"
        return f"{self.file}, {place}: what stands there has the shape of a secret ({self.kind})"


def in_text(name: str, text: str) -> Iterator[Found]:
    """Yield what looks like a key in a text."""
    # Arrow first: a tokenizer of 20 megabytes takes Python seconds
    if pc.match_substring_regex(pa.scalar(text), ANY).as_py():
        places = _places(text, or_else=UNNAMED)
        yield from (Found(name, kind, line=text.count("\n", 0, at) + 1) for at, kind in places)


def in_parquet(name: str, file: Path) -> Iterator[Found]:
    """Yield what looks like a key in any text of any row, lists and structs included."""
    for batch in pq.ParquetFile(file).iter_batches(BATCH):
        for column in batch.schema.names:
            for texts, rows in _texts(batch[column], pa.array(range(batch.num_rows))):
                for i in pc.indices_nonzero(pc.fill_null(pc.match_substring_regex(texts, ANY), False)).to_pylist():
                    row = _id(batch, rows[i].as_py())
                    # what Arrow found and Python cannot name is held back all the same
                    places = _places(texts[i].as_py(), or_else=UNNAMED)
                    yield from (Found(name, kind, row, column) for _, kind in places)


def _places(text: str, or_else: str | None = None) -> list[tuple[int, str]]:
    """Return where something in a text looks like a key, and like which kind; `or_else` if nothing does."""
    found = [(m, kind) for kind, pattern in KINDS.items() for m in re.finditer(pattern, text, re.ASCII)]
    if or_else and not found:
        return [(0, or_else)]
    return sorted((m.start(1), kind) for m, kind in found if kind not in WITH_DIGIT or re.search(r"\d", m[1]))


def _texts(values: pa.Array, rows: pa.Array) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Yield each array of texts within an array, with the row that each text is of."""
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield values, rows
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _texts(values.flatten(), rows.take(pc.list_parent_indices(values)))
    elif pa.types.is_struct(kind):
        for part in values.flatten():
            yield from _texts(part, rows)


def _id(batch: pa.RecordBatch, row: int) -> str:
    found = (batch[name][row].as_py() for name in IDS if name in batch.schema.names)
    return next((str(i) for i in found if i is not None), str(row))
