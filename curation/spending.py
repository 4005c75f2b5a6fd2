"""Spending: sums of dollars and tokens in words; what is not known is said to be unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def spending(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return what was spent, a row a stage and model and one for all, in words.

    Args:
        rows: stage, model, calls, answered, tokens_in, tokens_out, usd, uncounted, unpriced, as spent.sql gives them.
    """
    total = {k: sum(r[k] or 0 for r in rows) for k in rows[0] if k not in ("stage", "model")} if rows else {}
    all_of_them = [{"stage": "all", "model": "", **total}] if len(rows) > 1 else []
    return [{"stage": r["stage"], "model": r["model"], **in_words(r)} for r in (*rows, *all_of_them)]


def in_words(row: Mapping[str, Any]) -> dict[str, str]:
    """Return calls, answered, tokens_in, tokens_out and usd in words.

    Args:
        row: answered, tokens_in, tokens_out, usd, uncounted and unpriced; calls where there are any.
    """
    n, uncounted, unpriced = row["answered"], row["uncounted"], row["unpriced"]
    return {
        "calls": f"{row.get('calls', n):,}",
        "answered": f"{n:,}",
        **{k: _known(f"{row[k] or 0:,}", uncounted, n) for k in ("tokens_in", "tokens_out")},
        "usd": _known(dollars(row["usd"] or 0), unpriced, n),
    }


def dollars(usd: float) -> str:
    """Return dollars; less than a cent is not nothing."""
    return f"${usd:,.2f}" if usd >= 0.01 or not usd else f"${usd:.2g}"


def _known(said: str, missing: int, n: int) -> str:
    if not missing:
        return said
    return "unknown" if missing == n else f"{said} + unknown for {missing:,}"
