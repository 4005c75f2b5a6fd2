"""Reviews: how true what experts judged is, and what a version tells of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import pyarrow as pa

from curation.coincidences import alpha
from curation.intervals import Interval, ratio
from curation.schema import BOOL, INT, STRING
from curation.selection import query

if TYPE_CHECKING:
    from curation.store import Snapshot, Store

COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "trace_id": (STRING, "id of the trace, as in the other configs"),
    "clause_id": (STRING, "id of the clause"),
    "n": (INT, "place among the clauses of its text, from 0"),
    "start_char": (INT, "its first character in `reasoning`"),
    "end_char": (INT, "one past its last"),
    "text": (STRING, "the clause"),
    "annotator": (STRING, "who judged it: a number that stays the same in every version"),
    "verdict": (STRING, "TRUE, FALSE or UNVERIFIABLE"),
    "level": (STRING, "what the annotator says it is about: gene, pathway, context, experiment, other; null: not said"),
    "round": (STRING, "the review round"),
    "settled": (STRING, "the verdict that counts for the clause; null where annotators are tied"),
    "tie": (BOOL, "whether as many annotators gave another verdict as the most frequent one"),
    "adjudicated": (BOOL, "whether somebody had the last word"),
}
SCHEMA = pa.schema([(name, kind) for name, (kind, _) in COLUMNS.items()])


class Measured(NamedTuple):
    """What experts found in a set of clauses; factuality is a share, with the interval from resampled traces."""

    looked_at: int  # traces of which a clause was judged
    traces: int  # those with a clause that is TRUE or FALSE
    clauses: int  # all of the traces that were looked at: the next five together
    true: int
    false: int
    unverifiable: int
    tied: int
    unrated: int
    macro: Interval  # mean over traces
    micro: Interval  # over all clauses


def measure(clauses: Iterable[Mapping[str, Any]]) -> Measured:
    """Return the factuality of settled clauses: TRUE / (TRUE + FALSE), as the paper's Appendix B has it for one trace.

    Args:
        clauses: trace_id, verdict (settled; null: none), tie; all of a trace together.
    """
    rows = list(clauses)
    per_trace = [_true_false(own) for _, own in groupby(rows, key=itemgetter("trace_id"))]
    rated = [(true, true + false) for true, false in per_trace if true + false]
    said = [r["verdict"] for r in rows]
    tied = sum(bool(r["tie"]) for r in rows)
    return Measured(
        looked_at=len(per_trace),
        traces=len(rated),
        clauses=len(rows),
        true=said.count("TRUE"),
        false=said.count("FALSE"),
        unverifiable=said.count("UNVERIFIABLE"),
        tied=tied,
        unrated=said.count(None) - tied,
        macro=_ratio([(true / n, 1) for true, n in rated]),
        micro=_ratio(rated),
    )


def _true_false(rows: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    said = [r["verdict"] for r in rows]
    return said.count("TRUE"), said.count("FALSE")


def _ratio(pairs: Sequence[tuple[float, float]]) -> Interval:
    import numpy as np

    parts, wholes = np.array(pairs, dtype=float).reshape(-1, 2).T
    return ratio(parts, wholes, "traces with a clause rated TRUE or FALSE")


class Review(NamedTuple):
    """What experts said of a version's rows: the table that is published, and what the card tells of it."""

    rows: pa.Table
    annotators: int
    measured: Measured
    alpha: Interval

    @property
    def hash(self) -> str:
        """Return sha256 over the canonical JSON of the rows."""
        return rows_hash(self.rows.to_pylist())


def rows_hash(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return sha256 over the canonical JSON of what experts said, row by row."""
    lines = (orjson.dumps(r, option=orjson.OPT_SORT_KEYS) for r in rows)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def review(store: Store, trace_ids: Iterable[str], at: Snapshot) -> Review | None:
    """Return what experts said of these traces; None where nobody judged a clause of them.

    Args:
        store: the store.
        trace_ids: the traces.
        at: the snapshot that is read.
    """
    ids = {"ids": sorted(set(trace_ids))}
    if "verdicts" not in at or not ids["ids"]:
        return None
    rows = store.sql(query("annotations"), ids, at).cast(SCHEMA).combine_chunks()
    if not rows.num_rows:
        return None
    measured = measure(store.rows(query("settled_of"), ids, at))
    return Review(rows, len(rows["annotator"].unique()), measured, alpha(rows.to_pylist()))
