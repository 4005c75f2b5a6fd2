"""Samples: a few traces to read, the same for the same seed, as rows, as text and as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curation.apart import answer
from curation.errors import BadInput
from curation.lineage import block
from curation.locked import condition
from curation.selection import query
from curation.store import Snapshot, Store


def sample(
    store: Store, n: int, where: str | None = None, *, seed: int = 0, at: Snapshot | None = None, own: bool = True
) -> list[dict[str, Any]]:
    """Return up to n traces that fit a user's condition, in the order of sha256(seed, trace_id).

    Args:
        store: the store.
        n: how many at most; a larger n holds a smaller one.
        where: a condition over the columns of `traces`; None for all.
        seed: another seed is another sample.
        at: a snapshot, for the store as it was then.
        own: the condition is the user's, and not one of this project's.

    Returns:
        Rows of sql/queries/sampled.sql.

    Raises:
        RefusedSQL: the condition is none.
    """
    sql = f"""
        SELECT trace_id FROM traces WHERE {condition("true" if where is None else where)}
        ORDER BY sha256(concat_ws(chr(31), $seed, trace_id)) LIMIT $n
    """
    params = {"seed": str(seed), "n": n}
    found = answer(store, sql, params, at=at) if own else store.sql(sql, params, at)
    ids = found["trace_id"].to_pylist()
    return store.sql(query("sampled"), {"ids": ids}, at).to_pylist()


def show_sample(
    store: Store, n: int, where: str | None = None, *, seed: int = 0, out: Path | str | None = None
) -> list[dict[str, Any]]:
    """Return a sample that is not empty, and with `out` write it as a page, side by side.

    Raises:
        BadInput: no trace fits.
        RefusedSQL: the condition is none.
    """
    rows = sample(store, n, where, seed=seed)
    if not rows and where is not None:
        raise BadInput(f"--where {' '.join(where.split())}: no trace fits")
    if not rows:
        raise BadInput("no traces yet; `synthpert generate` makes them")
    if out:
        from curation import pages

        pages.write(out, "traces.html.j2", rows=rows, where=where, seed=seed)
    return rows


def text(rows: list[dict[str, Any]]) -> str:
    """Return a sample as a person reads it, one trace after the other."""
    return "\n\n".join(_one(r) for r in rows)


def _one(r: dict[str, Any]) -> str:
    head = f"{r['trace_id']}  {r['cell_line']}: {r['pert']} knocked down, effect on {r['gene']}"
    facts = f"measured: {r['label']}\nanswered: {r['answer'] or 'nothing readable'}\napproach: {r['approach']}"
    left_out = f"\nleft out: {r['stage']}, {r['reason']}" if r["stage"] else ""
    blocks = [head, block("trace", facts + left_out), block("reasoning", r["reasoning"] or r["unread"] or "")]
    blocks += [
        block(f"graded {g['grade'] or 'unreadable'}", f"{g['critic']}\n{g['justification'] or g['reason'] or ''}")
        for g in r["grades"] or ()
    ]
    return "\n".join(blocks)
