"""A running server, as this package asks it: over HTTP, as its owner or as one of its users."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from curation.errors import ServerError

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy knows nothing of this machine


@dataclass
class Served:
    """A running server."""

    url: str
    owner: str
    api_key: str = field(repr=False)  # the owner's
    workspace: str
    users: list[dict[str, Any]] = field(repr=False)  # {username, role, password}: those given or made at this start
    process: subprocess.Popen = field(repr=False)

    def login(self, username: str, password: str | None = None) -> str:
        """Return a user's token, for `Authorization: Bearer`; the password is the known one if none is given.

        Raises:
            ServerError: the server does not take it.
        """
        known = {user["username"]: user["password"] for user in self.users}
        form = {"username": username, "password": known.get(username) if password is None else password}
        return self.ask("POST", "api/v1/token", urlencode(form).encode())["access_token"]

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        """Ask the HTTP API as the owner, or as the user whose token is given; returns the JSON of the answer.

        Raises:
            ServerError: the answer is an error.
        """
        who = {"Authorization": f"Bearer {token}"} if token else {"X-Argilla-Api-Key": self.api_key}
        plain = body is None or isinstance(body, bytes)
        kind = {} if plain else {"Content-Type": "application/json"}
        asked = urllib.request.Request(f"{self.url}/{path}", method=method, headers=who | kind)
        asked.data = body if plain else json.dumps(body).encode()
        try:
            with _direct.open(asked, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as e:
            raise ServerError(f"{method} {path}: {e.code} {e.read().decode(errors='replace')}") from e


def answers(url: str) -> bool:
    """Tell whether a server has started up."""
    try:
        with _direct.open(f"{url}/api/v1/status", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
