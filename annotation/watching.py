"""Link and status: where the experts go, and how far they are."""

from __future__ import annotations

from collections import Counter
from itertools import groupby, pairwise
from typing import Any

from annotation import rounds
from annotation.pull import answered, reach
from curation.errors import BadInput
from curation.store import Store

PAGE = "{server}/dataset/{dataset}/annotation-mode?page=1&status=pending&sort=metadata.order.asc"


def links(store: Store, name: str, parts: int = 1) -> list[dict[str, Any]]:
    """Return the addresses to hand to the experts, in the order in which to open them.

    Without the sort of these links a server with Elasticsearch shows every expert another random order.

    Args:
        store: the store.
        name: of the round.
        parts: into so many runs of whole texts, each with a link of its own, is divided what not everybody judges.

    Returns:
        Rows of part (`everybody`, or its number from 1), clauses, url.

    Raises:
        BadInput: no such round, or it has fewer texts than parts.
    """
    this = rounds.named(store, name)
    placed = rounds.placed(store, name)
    found = []
    for everybody, dataset in this.datasets().items():
        rows = [row for row in placed if row["everybody"] == everybody]
        url = PAGE.format(server=this.server, dataset=dataset)
        if everybody:
            found.append({"part": "everybody", "clauses": len(rows), "url": url})
            continue
        for number, part in enumerate(_parts(rows, parts, name), 1):
            only = f"&metadata=order.ge{part[0]['place']}.le{part[-1]['place']}" if parts > 1 else ""
            found.append({"part": str(number), "clauses": len(part), "url": url + only})
    return found


def _parts(rows: list[dict[str, Any]], parts: int, name: str) -> list[list[dict[str, Any]]]:
    texts = [list(text) for _, text in groupby(rows, key=lambda row: row["subject_id"])]
    if parts > len(texts):
        raise BadInput(f"--parts {parts}: {name} has {len(texts)} texts to share out")
    bounds = [i * len(texts) // parts for i in range(parts + 1)]
    return [[row for text in texts[a:b] for row in text] for a, b in pairwise(bounds)]


def status(store: Store, name: str) -> dict[str, Any]:
    """Tell how far a round is, as the server has it now; nothing is written.

    Args:
        store: the store.
        name: of the round.

    Returns:
        name, clauses (placed), on_server, untouched (clauses without a verdict), short (with some, but fewer than
        wanted), complete, verdicts (that count towards what is wanted), wanted, percent, and by: [{annotator,
        submitted, draft, discarded}]. Of what everybody judges as many verdicts are wanted as experts have answered.

    Raises:
        BadInput: no such round, or not on this server.
        ServerError: the server is not there, or failed.
    """
    this = rounds.named(store, name)
    remote = reach(this)
    placed = {row["clause_id"] for row in rounds.placed(store, name)}
    records = [record for record in answered(remote, this) if record["external_id"] in placed]
    by = _by(records, remote.users())
    wanted = {True: max(this.annotators, len(by)), False: this.annotators}
    pairs = [(_submitted(record), wanted[record["everybody"]]) for record in records]
    given, all_wanted = sum(min(pair) for pair in pairs), sum(want for _, want in pairs)
    return {
        "name": name,
        "clauses": len(placed),
        "on_server": len(records),
        "untouched": sum(n == 0 for n, _ in pairs),
        "short": sum(0 < n < want for n, want in pairs),
        "complete": sum(n >= want for n, want in pairs),
        "verdicts": given,
        "wanted": all_wanted,
        "percent": round(100 * given / all_wanted, 1) if all_wanted else 0.0,
        "by": by,
    }


def _submitted(record: dict[str, Any]) -> int:
    return sum(response["status"] == "submitted" for response in record["responses"])


def _by(records: list[dict[str, Any]], users: dict[str, str]) -> list[dict[str, Any]]:
    found: dict[str, Counter[str]] = {}
    for record in records:
        for response in record["responses"]:
            found.setdefault(response["user_id"], Counter())[response["status"]] += 1
    rows = [
        {"annotator": users.get(user, user), **{s: count[s] for s in ("submitted", "draft", "discarded")}}
        for user, count in found.items()
    ]
    return sorted(rows, key=lambda row: row["annotator"])
