"""Questions that this room asks of the store; {words} stand for what a command fills in."""

from importlib import resources


def query(name: str) -> str:
    """Return the text of sql/NAME.sql."""
    return (resources.files("annotation") / "sql" / f"{name}.sql").read_text("utf-8")
