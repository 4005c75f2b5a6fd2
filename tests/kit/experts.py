"""Scripted experts: rows of clauses, rounds, placed clauses and verdicts, as a push and a pull would have left them."""

import random
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from annotation.clauses import of_traces, record
from curation.rehearsal.judges import annotate
from curation.schema import TABLES, content_id, now

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def add(store, table, rows):
    """Append rows; columns that are not given are null, and the id is over all that is."""
    made = {"run_id": "experts", "created": now()}
    key = TABLES[table].key
    blank = dict.fromkeys(TABLES[table].schema.names)
    full = [blank | made | {key: content_id(*r.values())} | r for r in rows]
    store.append(table, pa.Table.from_pylist(full, TABLES[table].schema))


def a_round(store, name="r1", **more):
    add(store, "rounds", [{"name": name, **more}])


def verdict(clause_id, annotator, said, minute=0, *, status="submitted", name="r1", level=None, note=None):
    """A row of verdicts; `minute` orders the answers."""
    return {
        "clause_id": clause_id, "round": name, "annotator": f"id-{annotator}", "annotator_name": annotator,
        "verdict": said, "level": level, "note": note, "status": status, "answered": NOON + timedelta(minutes=minute),
    }  # fmt: skip


def clauses_of(store, trace_ids):
    """The recorded clauses of traces."""
    record(store, trace_ids, "experts")
    return of_traces(store, trace_ids).to_pylist()


def judge(store, experts, trace_ids, share=1.0, **more):
    """Have each expert, name -> (accuracy, bias), judge a share of the clauses of traces."""
    rows = []
    clauses = clauses_of(store, trace_ids)
    for name, (accuracy, bias) in experts.items():
        rng = random.Random(name)
        for c in clauses:
            if rng.random() < share:
                level = rng.choice(["gene", "pathway"])
                rows.append(
                    verdict(c["clause_id"], name, annotate(c["text"], rng, accuracy, bias), level=level, **more)
                )
    add(store, "verdicts", rows)
    return clauses
