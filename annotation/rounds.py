"""A round of review as the store has it: its scheme, what was placed in it, and where it lies."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import pyarrow as pa

from annotation import records
from annotation.clauses import record
from annotation.sampling import Draw, Scheme
from annotation.sql import query
from curation.errors import BadInput
from curation.schema import TABLES, content_id, now
from curation.store import Store

EVERYBODY = "everybody"  # the end of the name of a round's second dataset


class Round(NamedTuple):
    """A row of the table `rounds`: name, where, how drawn."""

    name: str
    server: str
    workspace: str
    scheme: dict[str, Any]
    annotators: int
    last_word: str | None
    dataset_id: str | None = None
    everybody_id: str | None = None

    def datasets(self) -> dict[bool, str]:
        """Return the ids of its datasets that are made: of the clauses for everybody (True) and of the others."""
        pairs = {True: self.everybody_id, False: self.dataset_id}
        return {everybody: made for everybody, made in pairs.items() if made}

    def dataset_name(self, everybody: bool) -> str:
        """Return the name of one of its datasets on the server."""
        return f"{self.name}-{EVERYBODY}" if everybody else self.name


def checked_name(text: str) -> str:
    """Return the name of a round, if a dataset of the server can have it.

    Raises:
        BadInput: it holds other than letters, digits, - and _.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}", text) or text.endswith(f"-{EVERYBODY}"):
        raise BadInput(f"--name {text}: wanted letters, digits, - and _, 80 at most, and not -{EVERYBODY} at its end")
    return text


def find(store: Store, name: str) -> Round | None:
    """Return a round by its name, as it stands now."""
    found = store.rows("SELECT * FROM rounds WHERE name = $name", {"name": name})
    if not found:
        return None
    row = found[0] | {"scheme": json.loads(found[0]["scheme"])}
    return Round(**{field: row[field] for field in Round._fields})


def named(store: Store, name: str) -> Round:
    """Return a round by its name.

    Raises:
        BadInput: there is none, or nothing of it was sent yet.
    """
    found = find(store, name)
    if found is None:
        names = [row["name"] for row in store.rows("SELECT DISTINCT name FROM rounds ORDER BY name")]
        there = f"there are {', '.join(names)}" if names else "`synthpert annotate push` makes one"
        raise BadInput(f"{name}: no round has this name; {there}")
    if not found.datasets():
        raise BadInput(f"{name}: nothing of it was sent yet; type its `synthpert annotate push` again")
    return found


def same(found: Round, wanted: Round) -> None:
    """Check that a round that is there is the one that is wanted.

    Raises:
        BadInput: it was drawn otherwise, or lies elsewhere.
    """
    for what in ("server", "workspace", "annotators", "last_word"):
        _check(found.name, what.replace("_", "-"), getattr(found, what), getattr(wanted, what))
    for what in wanted.scheme | found.scheme:
        _check(found.name, what.replace("_", "-"), found.scheme.get(what), wanted.scheme.get(what))


def _check(name: str, what: str, found: Any, wanted: Any) -> None:
    if found != wanted:
        raise BadInput(
            f"--name {name}: this round is there with another {what} ({found}, not {wanted});"
            " give it another name, or its own options to go on with it"
        )


def write(store: Store, this: Round, run_id: str) -> None:
    """Write a round's row: the latest is what counts."""
    row = {
        **this._asdict(), "round_id": content_id(this.name), "scheme": json.dumps(this.scheme),
        "guidelines": records.guidelines_version(), "run_id": run_id, "created": now(),
    }  # fmt: skip
    store.append("rounds", pa.Table.from_pylist([row], TABLES["rounds"].schema))


def place(store: Store, this: Round, drawn: Draw, run_id: str) -> None:
    """Write what was drawn: all of it or, where the round has its clauses already, nothing."""
    subjects = list(dict.fromkeys(row["subject_id"] for row in drawn.clauses))
    record(store, subjects, run_id, this.scheme["subject"])
    made = {"run_id": run_id, "created": now()}
    schema = TABLES["clauses"].schema
    planted = [row | made for row in drawn.clauses if row["subject"] == "planted"]
    plain = [{name: row[name] for name in schema.names} for row in planted]
    store.append_new("clauses", pa.Table.from_pylist(plain, schema))
    rows = pa.Table.from_pylist([_placed(this.name, row) | made for row in drawn.clauses], TABLES["placed"].schema)
    # one commit, and one for good: a second push of this name that drew at the same time writes nothing
    store.append_once("placed", f"placed-{this.name}", lambda number: (rows.slice(0, 0 if number else None), 1))


def _placed(name: str, row: dict[str, Any]) -> dict[str, Any]:
    key = content_id(name, row["clause_id"])
    own = {column: row[column] for column in ("clause_id", "place", "everybody", "truth")}
    return {"placed_id": key, "round": name, **own}


def placed(store: Store, name: str) -> list[dict[str, Any]]:
    """Return what a round holds, in its order: rows of sql/placed.sql."""
    return store.rows(query("placed"), {"round": name})


def scheme_of(scheme: Scheme) -> dict[str, Any]:
    """Return a scheme as JSON has it."""
    return json.loads(json.dumps(scheme._asdict()))
