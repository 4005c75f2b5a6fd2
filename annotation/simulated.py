"""Scripted experts, who answer a round through the server's API as users do in a browser. For rehearsals and tests.

They judge by the planted world of the rehearsal, and they do what experts do: leave drafts, with and without a verdict,
discard, and change their minds.
"""

from __future__ import annotations

import html
import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from annotation.records import LEVELS, VERDICTS
from curation.errors import ServerError
from curation.rehearsal.judges import annotate

if TYPE_CHECKING:
    import httpx

TURN = 20  # clauses that an expert judges before the next one has a turn, so that they share a round


class Expert(NamedTuple):
    """A user of the server and how well they judge; see `curation.rehearsal.judges.annotate`."""

    username: str
    password: str
    accuracy: float = 0.9
    bias: float = 0.1


class Habits(NamedTuple):
    """How likely an expert leaves an answer as a draft, discards, does either without values, changes their mind."""

    draft: float = 0.05
    discard: float = 0.05
    empty: float = 0.5
    change: float = 0.1


USUAL = Habits()


def answer(
    url: str, datasets: Iterable[str], experts: Sequence[Expert], habits: Habits = USUAL, seed: int = 0
) -> list[dict[str, Any]]:
    """Have experts answer what waits for them, in turns, until nothing does.

    Args:
        url: of the server.
        datasets: ids of the round's datasets, in the order in which they are answered.
        experts: who; they must be users of the datasets' workspace.
        habits: how often they do other than submit.
        seed: the same seed gives the same answers to the same records in the same order.

    Returns:
        Every answer as it was given, in order: clause_id, record, annotator, response (ids), status, verdict, level,
        note, answered. Of a change of mind both.

    Raises:
        ServerError: the server does not take a password or an answer.
    """
    import httpx

    given: list[dict[str, Any]] = []
    with httpx.Client(base_url=f"{url.rstrip('/')}/api/v1/", timeout=60) as http:
        seats = [_Seat(http, expert, habits, random.Random(f"{seed} {expert.username}")) for expert in experts]
        for dataset in datasets:
            while turn := [one for seat in seats for one in seat.turn(dataset)]:
                given += turn
    return given


class _Seat:
    """One expert at the server."""

    def __init__(self, http: httpx.Client, expert: Expert, habits: Habits, rng: random.Random) -> None:
        self.http, self.expert, self.habits, self.rng = http, expert, habits, rng
        form = {"username": expert.username, "password": expert.password}
        token = _checked(http.post("token", data=form))["access_token"]
        self.headers = {"Authorization": f"Bearer {token}"}

    def turn(self, dataset: str) -> list[dict[str, Any]]:
        """Answer the next few records that wait for this expert, then change some of the answers."""
        pending = {"type": "terms", "scope": {"entity": "response", "property": "status"}, "values": ["pending"]}
        order = {"scope": {"entity": "metadata", "metadata_property": "order"}, "order": "asc"}
        asked = {"filters": {"type": "and", "and": [pending]}, "sort": [order]}
        path = f"me/datasets/{dataset}/records/search"
        found = self._ask("POST", path, params={"limit": TURN}, json=asked)["items"]
        said = self._say([self._judge(item["record"]) for item in found])
        return said + self._say([self._other(one) for one in said if self.rng.random() < self.habits.change])

    def _judge(self, record: dict[str, Any]) -> dict[str, Any]:
        text = html.unescape(record["fields"]["clause"]["text"])
        verdict = annotate(text, self.rng, self.expert.accuracy, self.expert.bias)
        note = self.rng.choice([None, "see β"])
        said = {"verdict": verdict, "level": self.rng.choice([*LEVELS, None]), "note": note}
        odds = (self.habits.draft, self.habits.discard, 1 - self.habits.draft - self.habits.discard)
        status = self.rng.choices(("draft", "discarded", "submitted"), odds)[0]
        empty = status != "submitted" and self.rng.random() < self.habits.empty
        about = {"clause_id": record["external_id"], "record": record["id"], "status": status}
        return about | (dict.fromkeys(said) if empty else said)

    def _other(self, one: dict[str, Any]) -> dict[str, Any]:
        """Change an answer's mind; what was a draft or discarded is now submitted."""
        verdict = self.rng.choice([v for v in VERDICTS if v != one["verdict"]])
        return one | {"status": "submitted", "verdict": verdict, "level": None, "note": None}

    def _say(self, answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Send answers, and return them as the server took them; of a discard the note alone counts."""
        if not answers:
            return []
        items = [{"record_id": a["record"], "status": a["status"], "values": _values(a)} for a in answers]
        taken = self._ask("POST", "me/responses/bulk", json={"items": items})["items"]
        if failed := [t["error"] for t in taken if t["error"]]:
            raise ServerError(f"{self.expert.username}: {failed[0]}")
        return [
            answer
            | ({"verdict": None, "level": None} if answer["status"] == "discarded" else {})
            | {"annotator": t["item"]["user_id"], "response": t["item"]["id"], "answered": t["item"]["updated_at"]}
            for answer, t in zip(answers, taken, strict=True)
        ]

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        return _checked(self.http.request(method, path, headers=self.headers, **more))


def _values(answer: dict[str, Any]) -> dict[str, Any] | None:
    return {q: {"value": answer[q]} for q in ("verdict", "level", "note") if answer[q] is not None} or None


def _checked(answer: httpx.Response) -> Any:
    if answer.status_code >= 400:
        raise ServerError(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:300]}")
    return answer.json()
