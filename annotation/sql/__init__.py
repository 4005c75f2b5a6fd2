"""What this room asks the store: a file a question."""

from __future__ import annotations

from importlib import resources


def query(name: str) -> str:
    """Return the text of annotation/sql/NAME.sql."""
    return (resources.files("annotation") / "sql" / f"{name}.sql").read_text("utf-8")
