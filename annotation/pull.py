"""Pull: bring the experts' answers into the store, each once, with every change of mind.

Argilla cannot be asked for the answers since a time: a record's own time does not move with its answers, and an answer
may become visible after a later one. So all are read and the new ones kept, told by the answer's id and the time of its
last change. Nothing is written before everything is read, so a pull that is killed has done nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from annotation import rounds
from annotation.records import LEVELS, VERDICTS
from annotation.remote import Remote, connect
from annotation.rounds import Round
from curation.errors import BadInput
from curation.runs import run
from curation.schema import TABLES, content_id, now
from curation.store import Store

STATUSES = ("submitted", "draft", "discarded", "deleted")


def pull(store: Store, name: str) -> dict[str, Any]:
    """Bring a round's answers into the store.

    Args:
        store: the store.
        name: of the round.

    Returns:
        name, new (rows written), then what stands now: submitted, draft, discarded, deleted; unknown: [{external_id,
        answers}], records that the round did not place, whose answers are not written; gone: clauses whose records are
        not on the server any more, whose answers stay as they are.

    Raises:
        BadInput: no such round, or ARGILLA_API_URL names another server than it lies on.
        ServerError: the server is not there, or failed. Nothing is written.
    """
    this = rounds.named(store, name)
    remote = reach(this)
    placed = {row["clause_id"] for row in rounds.placed(store, name)}
    found = list(answered(remote, this))
    known = [record for record in found if record["external_id"] in placed]
    users = remote.users()
    with run(store, "annotate pull", {"name": name}) as running:
        made = {"round": name, "run_id": running.id, "created": now()}
        rows = [_verdict(record["external_id"], x, users) | made for record in known for x in record["responses"]]
        rows += [row | made for row in _deleted(store, name, known, rows)]
        new = store.append_new("verdicts", pa.Table.from_pylist(rows, TABLES["verdicts"].schema))
    unknown = [
        {"external_id": r["external_id"], "answers": len(r["responses"])}
        for r in found
        if r["external_id"] not in placed
    ]
    gone = sorted(placed - {record["external_id"] for record in known})
    return {"name": name, "new": new, **counts(store, name), "unknown": unknown, "gone": gone}


def reach(this: Round) -> Remote:
    """Return a connection to the server that a round lies on.

    Raises:
        BadInput: ARGILLA_API_URL names another.
    """
    remote = connect(this.workspace)
    if not set(this.datasets().values()) <= {d["id"] for d in remote.ask("GET", "me/datasets")["items"]}:
        where = "" if remote.url == this.server else f"; it was pushed to {this.server}"
        raise BadInput(f"{this.name}: not on {remote.url}{where}")
    return remote


def answered(remote: Remote, this: Round) -> Iterator[dict[str, Any]]:
    """Yield the records of a round: external_id, everybody, responses (a list, maybe empty)."""
    for everybody, dataset in this.datasets().items():
        for record in remote.records(dataset):
            responses = record.get("responses") or []
            yield {"external_id": record["external_id"], "everybody": everybody, "responses": responses}


def counts(store: Store, name: str) -> dict[str, int]:
    """Return how many of a round's answers stand in each status."""
    rows = store.rows("SELECT status FROM verdicts WHERE round = $name", {"name": name})
    found = Counter(row["status"] for row in rows)
    return {status: found[status] for status in STATUSES}


def _verdict(clause_id: str, response: dict[str, Any], users: dict[str, str]) -> dict[str, Any]:
    values = {question: (value or {}).get("value") for question, value in (response["values"] or {}).items()}
    if response["status"] == "discarded":  # the server keeps along what was selected when it was discarded
        values = {"note": values.get("note")}
    when = _time(response["updated_at"])
    return {
        "verdict_id": content_id(response["id"], when.isoformat()),
        "clause_id": clause_id,
        "annotator": response["user_id"],
        "annotator_name": users.get(response["user_id"]),
        "verdict": _known(values.get("verdict"), VERDICTS),
        "level": _known(values.get("level"), LEVELS),
        "note": values.get("note"),
        "status": response["status"],
        "answered": when,
    }


def _known(value: Any, among: Iterable[str]) -> str | None:
    return value if value in among else None


def _time(text: str) -> datetime:
    """The server writes UTC and does not say so."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _deleted(
    store: Store, name: str, known: list[dict[str, Any]], rows: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield a row for each answer that the store holds and its record has no more.

    It stands a microsecond after the answer that it takes back: the server does not say when it was deleted, and an
    answer that the expert gives anew must come after it.
    """
    listed = {record["external_id"] for record in known}
    there = {row["verdict_id"] for row in rows} | {(row["clause_id"], row["annotator"]) for row in rows}
    held = store.rows("SELECT * FROM verdicts WHERE round = $name AND status <> 'deleted'", {"name": name})
    for row in held:
        same = {row["verdict_id"], (row["clause_id"], row["annotator"])}
        if row["clause_id"] in listed and not same & there:
            key = content_id("deleted", row["verdict_id"])
            nothing = {"verdict": None, "level": None, "note": None, "status": "deleted"}
            yield row | nothing | {"verdict_id": key, "answered": row["answered"] + timedelta(microseconds=1)}
