"""A round of review as a rehearsal: a server of its own, scripted experts who log in, their answers in the store."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from curation.environ import environ
from curation.errors import BadInput
from curation.store import Store

ROUND = "round-1"
EXPERTS = {"dora": 0.95, "emil": 0.9, "fina": 0.85}  # name -> how often they are right
NEEDED = ("argilla", "requests", "sentencex")


def rehearse(store: Store, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Have three scripted experts judge a round of the store's traces, through a real Argilla server.

    Args:
        store: the store; the round and its verdicts are written to it.
        folder: the server's data; `synthpert annotate serve --data` shows the round again.
        say: takes lines of progress.

    Returns:
        The plan of the push (texts, clauses, ...), and submitted, draft, discarded, deleted.

    Raises:
        BadInput: the extra is not installed.
        ServerError: the server's environment cannot be made, or it does not answer.
    """
    if not all(map(find_spec, NEEDED)):
        raise BadInput("reviews need argilla: pip install 'synthpert[annotate]'")
    from annotation import pull, push, rounds, simulated
    from annotation.sampling import Scheme
    from annotation.server.serve import serving
    from annotation.server.users import User

    experts = [simulated.Expert(name, secrets.token_urlsafe(16), right) for name, right in EXPERTS.items()]
    users = [User("owner", "owner"), *(User(e.username, "annotator", e.password) for e in experts)]
    scheme = Scheme(20, by=("grade",), everybody=0.4, planted=0.05)
    with serving(folder, users, say=say) as served, environ(**_here(served)):
        pushed = push.push(store, push.prepare(store, ROUND, scheme), quiet=True)
        simulated.answer(served.url, rounds.named(store, ROUND).datasets().values(), experts)
        return pushed | pull.pull(store, ROUND)


def _here(served: Any) -> dict[str, str]:
    return {
        "ARGILLA_API_URL": served.url,
        "ARGILLA_API_KEY": served.api_key,
        "ARGILLA_WORKSPACE": served.workspace,
    }
