"""Lineage: where one trace came from, and what was said of it."""

from __future__ import annotations

import textwrap
from typing import Any

from curation.errors import BadInput
from curation.store import Store

WIDTH = 100  # characters a line


def find(store: Store, trace_id: str) -> str:
    """Return the whole id of the one trace whose id begins so.

    Raises:
        BadInput: no trace, or several, have such an id.
    """
    ids = store.rows(
        "SELECT DISTINCT trace_id FROM raw.traces WHERE starts_with(trace_id, $id) ORDER BY 1 LIMIT 3",
        {"id": trace_id},
    )
    if len(ids) != 1 or not trace_id:
        found = "several traces begin so" if ids else "no trace has this id"
        raise BadInput(f'{trace_id}: {found}; `synthpert sql "SELECT trace_id FROM traces"` lists them')
    return str(ids[0]["trace_id"])


def lineage(store: Store, trace_id: str) -> dict[str, Any]:
    """Return one trace with its example, the request and response it was read from, its grades and versions.

    Args:
        store: the store.
        trace_id: an id, or its first characters if no other begins so.

    Raises:
        BadInput: no trace, or several, have such an id.
    """
    one = {"id": find(store, trace_id)}
    trace = store.rows("FROM traces WHERE trace_id = $id", one)[0]
    response = store.rows("FROM responses WHERE response_id = $id", {"id": trace["response_id"]})[0]
    grades = store.rows(
        """
        SELECT g.grade, g.critic, g.justification, g.reason, r.messages, r.text, g.created
        FROM grades AS g JOIN responses AS r USING (response_id) WHERE g.trace_id = $id ORDER BY g.created
        """,
        one,
    )
    members = store.rows("SELECT name, version, split, side FROM members WHERE trace_id = $id ORDER BY ALL", one)
    return {"trace": trace, "response": response, "grades": grades, "versions": members}


def text(found: dict[str, Any]) -> str:
    """Return a lineage as a person reads it, from the example to the versions that hold it."""
    t, r = found["trace"], found["response"]
    blocks = [
        block("example", f"{t['cell_line']}: knock-down of {t['pert']}, effect on {t['gene']}: {t['label']}"),
        block("trace", _facts(t, "trace_id", "approach", "generator", "answer", "correct", "think", "reason")),
        *([block("imported from", _origin(r["origin"]))] if r["origin"] else []),
        *(block(f"asked, {m['role']}", m["content"]) for m in r["messages"]),
        block(
            "answered",
            f"{_facts(r, 'provider', 'finish_reason', 'tokens_in', 'tokens_out', 'usd')}\n{r['text']}",
        ),
    ]
    for g in found["grades"]:
        said = g["justification"] or ""
        blocks.append(block(f"graded {g['grade'] or 'unreadable: ' + str(g['reason'])}", f"{g['critic']}\n{said}"))
    blocks += [block("in", f"{v['name']} {v['version']}, {v['split']}, {v['side']}") for v in found["versions"]]
    return "\n".join(blocks)


def _origin(origin: dict[str, Any]) -> str:
    licence = f", licence {origin['licence']}" if origin["licence"] else ""
    return f"{origin['file']}, row {origin['row']}, of {origin['digest']}{licence}"


def _facts(row: dict[str, Any], *names: str) -> str:
    return ", ".join(f"{n} {row[n]}" for n in names if row[n] is not None)


def block(head: str, body: str) -> str:
    """Return a body, wrapped and indented, under its head."""
    lines = [textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent="  ") for line in body.splitlines()]
    return "\n".join([head.upper(), *lines])
