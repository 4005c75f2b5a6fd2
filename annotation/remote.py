"""The Argilla server as this room sees it: workspaces, users, datasets, records in and responses out.

Its SDK makes the datasets. Records go and come by the HTTP API that the SDK stands on: the SDK's reader breaks on an
answer without values and drops the time of each answer, and its writer says of a refused batch only that it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from annotation.server.credentials import found
from curation.errors import BadInput, ServerError

if TYPE_CHECKING:
    import argilla

PAGE = 500  # records a request; the server takes at most as many in, and a page of whole texts is megabytes
TIMEOUT = 120  # seconds


Record = dict[str, Any]  # as the API has it


class Refused(ServerError):
    """The server turned a request down: what it was sent is wrong, and will be the next time."""


class Remote:
    """A connection to one workspace of a server, as an owner or an admin of it.

    Args:
        url: of the server.
        key: of the user.
        workspace: its name.

    Raises:
        BadInput: the extra is not installed, or there is no such workspace.
        ServerError: the server is not there, or does not take the key.
    """

    def __init__(self, url: str, key: str, workspace: str) -> None:
        if not (find_spec("argilla") and find_spec("requests")):  # argilla imports requests without declaring it
            raise BadInput("reviews need argilla: pip install 'synthpert[annotate]'")
        import argilla

        self.url, self.workspace = url.rstrip("/"), workspace
        with _told(self.url):
            self.client = argilla.Argilla(api_url=self.url, api_key=key, timeout=TIMEOUT, retries=2)
        self.workspace_id = self._workspace()

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """Ask the API; returns the JSON of the answer.

        Raises:
            Refused: 4xx.
            ServerError: the server is not there, or failed.
        """
        with _told(self.url):
            answer = self.client.http_client.request(method, f"api/v1/{path}", **more)
        if 400 <= answer.status_code < 500:
            raise Refused(f"{self.url}: {method} {path}: {answer.status_code} {answer.text[:500]}")
        if answer.status_code >= 500:
            raise ServerError(f"{self.url}: {method} {path}: {answer.status_code}; its log says why")
        return answer.json()

    def _workspace(self) -> str:
        there = {w["name"]: w["id"] for w in self.ask("GET", "me/workspaces")["items"]}
        if self.workspace not in there:
            others = f"there are {', '.join(sorted(there))}" if there else "there is none"
            raise BadInput(f"--workspace {self.workspace}: not on {self.url}; {others}")
        return there[self.workspace]

    def users(self) -> dict[str, str]:
        """Return the names of the workspace's users by id; an owner belongs to none, and only owners see owners."""
        found = self.ask("GET", f"workspaces/{self.workspace_id}/users")["items"]
        me = self.ask("GET", "me")
        if me["role"] == "owner":
            found += self.ask("GET", "users")["items"]
        return {user["id"]: user["username"] for user in [*found, me]}

    # -- datasets

    def dataset(self, name: str) -> str | None:
        """Return the id of the workspace's dataset of this name, if it is there and ready."""
        return next((d["id"] for d in self._datasets(name) if d["status"] == "ready"), None)

    def _datasets(self, name: str) -> list[dict[str, Any]]:
        found = self.ask("GET", "me/datasets", params={"workspace_id": self.workspace_id, "name": name})["items"]
        return [d for d in found if d["name"] == name]

    def make(self, name: str, settings: argilla.Settings) -> str:
        """Return the id of the dataset of this name, which is made if it is not there."""
        import argilla

        if ready := self.dataset(name):
            return ready
        for half in self._datasets(name):  # a push was killed while it made this; nothing can be in it
            self.ask("DELETE", f"datasets/{half['id']}")
        with _told(self.url):
            made = argilla.Dataset(name=name, workspace=self.workspace, settings=settings, client=self.client).create()
        return str(made.id)

    # -- records

    def count(self, dataset: str) -> int:
        """Return how many records a dataset holds."""
        return self.ask("GET", f"datasets/{dataset}/progress").get("total", 0)

    def put(
        self, dataset: str, records: list[dict[str, Any]]
    ) -> Iterator[tuple[int, list[tuple[dict[str, Any], str]]]]:
        """Send records, new ones and those that are there: each stands there once, with its answers.

        Yields:
            After each request how many records the server took, and those that it refused, with its words: it refuses
            a whole batch for one bad record, so a refused batch is halved until the bad ones stand alone.
        """
        waiting = [records[i : i + PAGE] for i in range(0, len(records), PAGE)]
        while waiting:
            batch = waiting.pop(0)
            try:
                self.ask("PUT", f"datasets/{dataset}/records/bulk", json={"items": batch})
                yield len(batch), []
            except Refused as e:
                if len(batch) == 1:
                    yield 0, [(batch[0], str(e))]
                else:
                    waiting[:0] = [batch[: len(batch) // 2], batch[len(batch) // 2 :]]

    def records(self, dataset: str) -> Iterator[Record]:
        """Yield every record of a dataset as the API has it, with all its responses."""
        offset = 0
        while True:
            page = {"include": "responses", "limit": PAGE, "offset": offset}
            found = self.ask("GET", f"datasets/{dataset}/records", params=page)["items"]
            yield from found
            offset += len(found)
            if len(found) < PAGE:
                return


def connect(workspace: str | None = None) -> Remote:
    """Return a connection to the server of ARGILLA_API_URL and ARGILLA_API_KEY, or of ./annotation-server.

    Raises:
        BadInput: neither is there, or not this workspace.
        ServerError: the server is not there, or does not take the key.
    """
    there = found()
    return Remote(there.url, there.api_key, workspace or there.workspace)


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Say in one line what a request met. The key is in none of these: httpx shows no headers."""
    import httpx
    from argilla._exceptions import ArgillaError, UnauthorizedError

    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL) as e:
        raise ServerError(f"{url}: {type(e).__name__}: {e}; the same command goes on from here") from e
    except ArgillaError as e:
        cause = e.__cause__ or e
        if isinstance(cause, UnauthorizedError):
            raise ServerError(f"{url}: the server does not take this key (ARGILLA_API_KEY)") from e
        raise ServerError(f"{url}: {type(cause).__name__}: {' '.join(str(cause).split())[:500]}") from e
