"""Factuality: the share of what experts judged that is true, by whatever is known of a trace or a clause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from annotation.sql import query
from curation import named
from curation.errors import BadInput
from curation.reading import GRADES
from curation.reviews import Measured, measure
from curation.schema import LABELS
from curation.store import Store

# columns of a clause, or of what a trace was in; all others are columns of the view `traces`
LEVELS = ("gene", "pathway", "context", "experiment", "other")
LEVEL, ROUND, VERSION = "level", "round", "version"
SEVERAL = (ROUND, VERSION)  # of these a trace may be in more than one
ORDER = {value: n for values in (GRADES, LABELS, (True, False), LEVELS) for n, value in enumerate(values)}
NEVER = ("reasoning", "justification", "trace_id", "factuality")  # a group a row, or what is measured

JOINS = {
    ROUND: """LEFT JOIN (
        SELECT DISTINCT clause_id, round FROM verdicts WHERE status = 'submitted' AND verdict IS NOT NULL
    ) AS j ON j.clause_id = s.clause_id
""",
    VERSION: """LEFT JOIN (
        SELECT DISTINCT trace_id, name || '@' || version AS version FROM members
    ) AS m ON m.trace_id = s.trace_id
""",
}


def clauses(store: Store, by: Sequence[str] = (), version: str | None = None) -> list[dict[str, Any]]:
    """Return the clauses of the traces that experts looked at, with what is held of each.

    Args:
        store: the store.
        by: columns to add; with `round` or `version` a clause comes once for each round or version it is in.
        version: NAME@VERSION: only traces that are rows of it.

    Returns:
        trace_id, clause_id, verdict (null: nobody judged it, or a tie), raters, tie, adjudicated, level, simulated, and
        the columns of `by`; all of a trace together.

    Raises:
        BadInput: there is no such column.
        VersionError: there is no such version.
    """
    _check(store, by)
    sources = {ROUND: "j.round", VERSION: "m.version"}
    columns = "".join(f', {sources.get(c, f"t.{c}")} AS "{c}"' for c in by if c not in (LEVEL, "simulated"))
    joins = (JOINS[ROUND] if ROUND in by else "") + (JOINS[VERSION] if VERSION in by else "")
    text = query("found").replace("{columns}", columns).replace("{joins}", joins)
    return store.rows(text, only(store, version))


def only(store: Store, version: str | None) -> dict[str, str | None]:
    """Return the parameters $name and $version of a NAME@VERSION, or none; VersionError if there is no such one."""
    if version is None:
        return {"name": None, "version": None}
    held = named.find(store, version)
    return {"name": held["name"], "version": held["version"]}


def _check(store: Store, by: Sequence[str]) -> None:
    kinds = {f.name: str(f.type) for f in store.sql("FROM traces LIMIT 0").schema}
    plain = [c for c, kind in kinds.items() if c not in NEVER and not kind.startswith(("list", "struct", "timestamp"))]
    for column in by:
        if column not in (*plain, LEVEL, ROUND, VERSION):
            raise BadInput(f"--by {column}: not one of {', '.join([LEVEL, ROUND, VERSION, *plain])}")


def factuality(store: Store, by: str | None = None, version: str | None = None) -> list[dict[str, Any]]:
    """Measure factuality, TRUE / (TRUE + FALSE), of all or by a column.

    Args:
        store: the store.
        by: a column of `traces` (grade, label, correct, cell_line, generator, approach, ...), `level` of the claim,
            `round`, or `version`; of the last two a trace may be in several, and then counts in each.
        version: NAME@VERSION: only traces that are rows of it.

    Returns:
        A row a group: `group` (its value, `all` without `by`); the counts of `curation.reviews.Measured`; macro, the
        mean over traces, and micro, over all clauses, each with X_low and X_high (95 %, from resampled traces) and
        X_why (what is missing where a number is).

    Raises:
        BadInput: there is no such column.
        VersionError: there is no such version.
    """
    return grouped(clauses(store, [by] if by else [], version), by)


def grouped(rows: Sequence[dict[str, Any]], by: str | None) -> list[dict[str, Any]]:
    """Return what `factuality` does, of clauses that were read."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault("all" if by is None else row[by], []).append(row)
    order = sorted(groups, key=lambda g: (g is None, ORDER.get(g, 0), str(g)))
    return [{"group": g, **_fields(measure(groups[g]))} for g in order]


def _fields(found: Measured) -> dict[str, Any]:
    counts = {name: value for name, value in found._asdict().items() if isinstance(value, int)}
    return counts | found.macro.fields("macro") | found.micro.fields("micro")
