"""Push: draw a round, say what it asks of the experts, write it down, and send it to the server.

What was drawn is in the store before anything is sent, so a push that was killed goes on: the same command sends the
same records, and the server keeps each once, with the answers that it has by then.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from annotation import planting, predictions, records, rounds
from annotation.planting import Fake
from annotation.remote import Remote, connect
from annotation.rounds import Round
from annotation.sampling import Draw, Scheme, draw
from curation.errors import BadInput
from curation.runs import run
from curation.schema import TABLES, content_id
from curation.store import Store

# Argilla takes a clause out of all queues once it has so many verdicts: never, so that who joins later judges it too
NEVER = 1_000
SECONDS = 30.0  # of an expert's time for one clause, where none are given


class Files(NamedTuple):
    """What a push reads beside the store: predictions to judge, clauses to plant, full names of genes."""

    predictions: Path | None = None
    planted: Path | None = None
    names: Path | None = None


NO_FILES = Files()


class Prepared(NamedTuple):
    """A round that is ready to be sent, of which nothing is written yet.

    Attributes:
        name: of the round.
        scheme: how it is drawn.
        annotators: verdicts wanted for a clause.
        drawn: its clauses; those of the store, if the round is there already.
        fresh: predictions to write.
        genes: full names.
        plan: what it asks of the experts, as `push` returns it.
    """

    name: str
    scheme: Scheme
    annotators: int
    drawn: Draw
    fresh: pa.Table
    genes: dict[str, records.Gene]
    plan: dict[str, Any]


def prepare(
    store: Store, name: str, scheme: Scheme, annotators: int = 2, files: Files = NO_FILES, seconds: float = SECONDS
) -> Prepared:
    """Draw a round, or find it as it was drawn.

    Args:
        store: the store; predictions are written to it, nothing else.
        name: of the round.
        scheme: how to draw; what it says of files is filled in here.
        annotators: verdicts wanted for each clause.
        files: to read.
        seconds: an expert's time for one clause, for the plan.

    Raises:
        BadInput: a name, file or column that will not do, or a round of this name that was drawn otherwise.
        RefusedSQL: the condition is none.
    """
    rounds.checked_name(name)
    genes = records.names(files.names)
    fakes = planting.read(files.planted) if files.planted else []
    if fakes and scheme.planted:
        raise BadInput("--planted and --planted-file: give one of them")
    fresh = (
        predictions.read(store, files.predictions) if files.predictions else TABLES["predictions"].schema.empty_table()
    )
    ids = sorted(fresh["prediction_id"].to_pylist())
    scheme = scheme._replace(planted_file=planting.version(fakes))
    if files.predictions:
        by = scheme.by or ("correct",)
        scheme = scheme._replace(subject="prediction", source=content_id(*ids), by=by)
    if found := rounds.find(store, name):
        wanted = found._replace(scheme=rounds.scheme_of(scheme), annotators=annotators)
        rounds.same(found, wanted)
    drawn = _held(store, name) or _drawn(store, scheme, fresh, fakes)
    plan = _plan(name, drawn, annotators, seconds)
    plan["planted_wanted"] = len(fakes) or round(scheme.planted * len(drawn.clauses))
    return Prepared(name, scheme, annotators, drawn, fresh, genes, plan)


def _drawn(store: Store, scheme: Scheme, fresh: pa.Table, fakes: Sequence[Fake]) -> Draw:
    if fresh.num_rows:
        store.append_new("predictions", fresh)  # a draw is over the store; an unused prediction does no harm
    return draw(store, scheme, fresh["prediction_id"].to_pylist(), fakes)


def _held(store: Store, name: str) -> Draw | None:
    rows = rounds.placed(store, name)
    return Draw(rows, [], len({row["subject_id"] for row in rows})) if rows else None


def _plan(name: str, drawn: Draw, annotators: int, seconds: float) -> dict[str, Any]:
    shared = sum(row["everybody"] for row in drawn.clauses)
    others = len(drawn.clauses) - shared
    return {
        "name": name,
        "texts": drawn.texts,
        "clauses": len(drawn.clauses),
        "everybody": shared,
        "planted": sum(row["truth"] is not None for row in drawn.clauses),
        "annotators": annotators,
        "seconds": seconds,
        "minutes": round(others * annotators * seconds / 60),
        "minutes_each": round(shared * seconds / 60),
        "strata": drawn.strata,
    }


def push(
    store: Store, ready: Prepared, workspace: str | None = None, last_word: str | None = None, *, quiet: bool = False
) -> dict[str, Any]:
    """Write a round to the store and send it; a second time, go on where the first was killed.

    Args:
        store: the store.
        ready: what `prepare` returned.
        workspace: on the server; who is in it sees the round. None is what the environment or its folder names.
        last_word: name of the user whose verdict settles a clause.
        quiet: no progress on stderr.

    Returns:
        The plan, and sent (records), refused: [{clause_id, why}], on_server (records), server.

    Raises:
        BadInput: no such workspace or user, or the round is there and lies elsewhere.
        ServerError: the server is not there, or failed; the same call goes on.
    """
    remote = connect(workspace)
    this = Round(
        ready.name,
        remote.url,
        remote.workspace,
        rounds.scheme_of(ready.scheme),
        ready.annotators,
        _user(remote, last_word),
    )
    if found := rounds.find(store, this.name):
        rounds.same(found, this)
    with run(store, "annotate push", {"name": this.name, **ready.scheme._asdict()}) as running:
        if not found:
            rounds.write(store, this, running.id)
        if not rounds.placed(store, this.name):
            rounds.place(store, this, ready.drawn, running.id)
        rows = rounds.placed(store, this.name)
        made = _datasets(remote, this, {row["everybody"] for row in rows})
        if made != found:
            rounds.write(store, made, running.id)
        return ready.plan | _send(remote, made, rows, ready.genes, quiet) | {"server": remote.url}


def _user(remote: Remote, name: str | None) -> str | None:
    if name is None:
        return None
    users = {username: user for user, username in remote.users().items()}
    if name not in users:
        raise BadInput(f"--last-word {name}: not one of {', '.join(sorted(users))}")
    return users[name]


def _datasets(remote: Remote, this: Round, kinds: set[bool]) -> Round:
    """Argilla wants as many verdicts of each record of a dataset: what everybody judges has a dataset of its own."""
    made = {
        everybody: remote.make(this.dataset_name(everybody), records.settings(NEVER if everybody else this.annotators))
        for everybody in sorted(kinds)
    }
    return this._replace(dataset_id=made.get(False), everybody_id=made.get(True))


def _send(
    remote: Remote, this: Round, rows: list[dict[str, Any]], genes: dict[str, records.Gene], quiet: bool
) -> dict[str, Any]:
    shared = {row["clause_id"]: row["everybody"] for row in rows}
    made = list(records.records(rows, genes))
    sent, refused = 0, []
    tell = _teller(len(made), quiet)
    for everybody, dataset in this.datasets().items():
        for took, bad in remote.put(dataset, [r for r in made if shared[r["external_id"]] == everybody]):
            sent += took
            refused += [{"clause_id": record["external_id"], "why": why} for record, why in bad]
            tell(sent + len(refused))
    there = sum(remote.count(dataset) for dataset in this.datasets().values())
    return {"sent": sent, "refused": refused, "on_server": there}


def _teller(total: int, quiet: bool) -> Callable[[int], None]:
    """Return what tells how far it is: a line that is redrawn in a terminal, elsewhere one a request."""
    start, end = ("\r\x1b[K", "") if sys.stderr.isatty() else ("", "\n")

    def tell(done: int) -> None:
        if not quiet:
            last = "\n" if done >= total else end
            print(f"{start}push: {done:,} of {total:,} clauses", end=last, file=sys.stderr, flush=True)

    return tell
