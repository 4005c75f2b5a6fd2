"""What this room asks: a file a question."""

from __future__ import annotations

from importlib import resources


def query(name: str) -> str:
    """Return the text of eval/sql/NAME.sql."""
    return (resources.files("eval") / "sql" / f"{name}.sql").read_text("utf-8")
