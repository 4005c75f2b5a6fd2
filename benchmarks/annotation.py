"""A round of 10,000 clauses against a real Argilla server: push and pull, with the bare SDK beside in the same run.

Run `python -m benchmarks.annotation [CLAUSES]`; it makes the embedded server's environment if it is not there.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from annotation import records, rounds
from annotation.pull import pull
from annotation.push import prepare, push
from annotation.remote import Remote, connect
from annotation.sampling import Scheme
from annotation.server.serve import serving
from annotation.server.users import User
from benchmarks.million import make
from curation.environ import environ
from curation.store import Store

CLAUSES = 10_000
EACH = 5  # clauses of a trace that benchmarks.million makes
BATCH = 100  # answers a request: the most that the server takes
PASSES = 3
PASSWORD = "only for this benchmark"


def timed(what: str, n: int, act: Callable[[], Any]) -> Any:
    """Do something once and print how long it took, for n clauses."""
    began = time.monotonic()
    found = act()
    _tell(what, n, [time.monotonic() - began])
    return found


def _tell(what: str, n: int, seconds: list[float]) -> None:
    mid = statistics.median(seconds)
    print(f"{what:56} {mid:7.2f} s  ({min(seconds):.2f} to {max(seconds):.2f})  {n / mid:7,.0f} clauses/s", flush=True)


@contextmanager
def counted(waited: list[float]) -> Any:
    """Note how long each request to the server takes."""
    real = Remote.ask

    def ask(self: Remote, method: str, path: str, **more: Any) -> Any:
        began = time.monotonic()
        try:
            return real(self, method, path, **more)
        finally:
            waited.append(time.monotonic() - began)

    Remote.ask = ask  # type: ignore[method-assign]
    try:
        yield
    finally:
        Remote.ask = real  # type: ignore[method-assign]


def answer(served: Any, dataset: str, n: int) -> None:
    """Have one annotator submit a verdict on every record."""
    token = served.login("ana", PASSWORD)
    for offset in range(0, n, BATCH):
        page = served.ask("GET", f"api/v1/datasets/{dataset}/records?limit={BATCH}&offset={offset}")["items"]
        items = [{"record_id": r["id"], "status": "submitted", "values": {"verdict": {"value": "TRUE"}}} for r in page]
        served.ask("POST", "api/v1/me/responses/bulk", {"items": items}, token)


def by_sdk(remote: Remote, store: Store) -> None:
    """Push the same records by the SDK's own means, into a dataset of its own."""
    import argilla as rg

    dataset = rg.Dataset(
        name="sdk", workspace=remote.workspace, settings=records.settings(annotators=1), client=remote.client
    ).create()
    made = [
        rg.Record(id=r["external_id"], fields=r["fields"], metadata=r["metadata"])
        for r in records.records(rounds.placed(store, "ours"), {})
    ]
    dataset.records.log(made, batch_size=500)


def main(clauses: int) -> None:
    """Measure push, then answer everything, then pull."""
    with tempfile.TemporaryDirectory() as folder:
        store = make(Path(folder) / "store", traces=clauses // EACH * 2)
        users = [User("owner", "owner"), User("ana", "annotator", PASSWORD)]
        with serving(Path(folder) / "server", users, say=print) as served, environ(
            ARGILLA_API_URL=served.url, ARGILLA_API_KEY=served.api_key, ARGILLA_WORKSPACE=served.workspace
        ):  # fmt: skip
            measure(store, served, clauses)


def measure(store: Store, served: Any, clauses: int) -> None:
    """Print the figures."""
    ready = prepare(store, "ours", Scheme(clauses // EACH), annotators=1)
    n = len(ready.drawn.clauses)
    waited: list[float] = []
    with counted(waited):
        timed(f"push of {n:,} clauses", n, lambda: push(store, ready, quiet=True))
    print(f"{'  of which the server took':56} {sum(waited):7.2f} s")
    remote = connect()
    timed("the bare SDK: log of the same records", n, lambda: by_sdk(remote, store))
    this = rounds.named(store, "ours")
    assert this.dataset_id
    answer(served, this.dataset_id, n)
    seconds, beyond = [], []
    for _ in range(PASSES):  # the first writes n verdicts; a later one finds them all there, after the same reading
        waited = []
        began = time.monotonic()
        with counted(waited):
            pull(store, "ours")
        seconds.append(time.monotonic() - began)
        beyond.append(seconds[-1] - sum(waited))
    _tell(f"pull of {n:,} answered records", n, seconds)
    print(f"{'  beyond what the server took':56} {max(beyond):7.2f} s at most, first pass {beyond[0]:.2f} s")
    whole = remote.client.datasets(this.dataset_name(everybody=False), workspace=remote.workspace)
    assert whole
    timed("the bare SDK: the same records with responses", n, lambda: list(whole.records(with_responses=True)))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else CLAUSES)
