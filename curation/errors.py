"""What can go wrong in a way the user can mend. Each is one clear line at the command's edge, exit status 1."""

from __future__ import annotations

from pathlib import Path


class SynthpertError(Exception):
    """The base of all: its text is the line the user reads."""


class BadInput(SynthpertError):
    """A file, or a value in it, is not what it should be."""

    @classmethod
    def at(
        cls, file: Path | str, found: str, wanted: str, *, line: int | None = None, column: str | None = None
    ) -> BadInput:
        """Name the place, what stands there and what should."""
        place = f"{file}"
        place += f", line {line}" if line is not None else ""
        place += f", column {column}" if column is not None else ""
        return cls(f"{place}: found {found}, wanted {wanted}")


class StoreError(SynthpertError):
    """The store is not one, is newer than this code, or was handed rows it cannot hold."""


class RefusedSQL(SynthpertError):
    """A query that is no plain SELECT, or that DuckDB turned down; with the place in it, where that is known."""

    def __init__(self, said: str, line: int | None = None, words: str = "") -> None:
        # the words alone: a line of a condition (--where) would be counted in the statement that it stands in
        super().__init__(f"{said} (at: {words[:40]})" if line else said)
        self.said, self.line, self.words = said, line, words


class Unsteady(RefusedSQL):
    """A query that answers otherwise each time it is asked."""


class EndpointError(SynthpertError):
    """The model's address, key or name is such that asking on makes no sense."""


class RecipeError(SynthpertError):
    """A recipe that does not exist, does not run, or selects what a dataset cannot hold."""


class VersionError(SynthpertError):
    """A version or its folder stands in the way of the one to be written."""


class ServerError(SynthpertError):
    """The annotation server cannot be made, started or reached."""


class HubError(SynthpertError):
    """The Hub cannot be reached, or does not take or hand out what was asked of it."""


class SecretFound(SynthpertError):
    """A text that was to be published holds what looks like a key; the line names its place, never the key."""


class TrainingStopped(SynthpertError):
    """The machine has no more memory or disk for a training; what stands on disk is whole."""


class Interrupted(SynthpertError):
    """The user or a limit stopped the work before its end; exit status 3."""
