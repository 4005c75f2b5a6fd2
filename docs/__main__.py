"""Write docs/store.md from the schema and the views: python -m docs."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from curation.schema import TABLES
from curation.store import Store
from curation.views import texts

PAGE = Path(__file__).parent / "store.md"
HEAD = """# The store

Made from the code by `python -m docs`; do not edit.

A folder of append-only Delta Lake tables, one a folder, and `journal/`, where the answers of a running command wait for
their table. In SQL `raw.NAME` is a table as written. `NAME` is a view: of a table, its latest row an id; of the others,
what is said below. Rows are never changed: a correction is a new row, and `raw` keeps both. Ids are the first 16 hex
digits of sha256 over the fields that name the row, joined by U+001F.

What experts are asked lies in `clauses`, `rounds` and `placed` ([Review by experts](review.md)), what they say in
`verdicts`; `reviewed`, `ratings`, `settled` and `factuality` are worked out of it
([Reading what experts found](factuality.md)).

A store can be copied, moved and shared: no absolute path stands in it. Each table has a version number, so "the store
as it was" is a set of numbers, which every dataset's `manifest.json` holds.

"""


def page() -> str:
    """Return the text of docs/store.md."""
    return HEAD + "## Tables\n\n" + "".join(map(_table, TABLES)) + "## Views\n\n" + "".join(_views())


def _table(name: str) -> str:
    schema = TABLES[name].schema
    rows = [f"| `{f.name}` | {_type(str(f.type))} | {f.metadata[b'description'].decode()} |" for f in schema]
    about = schema.metadata[b"description"].decode()
    return f"### raw.{name}\n\n{about}\n\n| column | type | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n\n"


def _type(arrow: str) -> str:
    return arrow.replace("timestamp[us, tz=UTC]", "time, UTC").replace("double", "float64").replace("element: ", "")


def _views() -> list[str]:
    with tempfile.TemporaryDirectory() as folder, Store(f"{folder}/store", create=True).session() as con:
        return [
            f"### {name}\n\n{_about(name, text)}\n\nColumns: "
            + ", ".join(f"`{c}`" for c in con.sql(f"FROM {name}").columns)
            + "\n\n"
            for name, text in sorted(texts().items())
        ]


def _about(name: str, text: str) -> str:
    comment = re.match(r"(--[^\n]*\n)+", text)
    return " ".join(comment[0].replace("--", "").split()) if comment else f"The latest row an id of `raw.{name}`."


if __name__ == "__main__":
    PAGE.write_text(page().rstrip() + "\n", "utf-8")
