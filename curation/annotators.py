"""Annotators: their names, looked for in what is to be published; there they are numbers, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq

import datasets_cards
from curation import reviews, rows
from curation.errors import VersionError
from curation.store import Store

PSEUDONYM = r"^annotator-\d+$"
SHORT = 3  # letters: a name of fewer is part of too much else
ESCAPE = re.compile(r"\\(?:[bfnrt]|u([0-9A-Fa-f]{4}))")  # of JSON
REMEDY = "annotators go out as numbers alone: say it without the name in the recipe, the reason or the round"


def check(store: Store, files: Mapping[str, Path | bytes]) -> None:
    """Hold back files that name an annotator of the store: in a text of theirs, or in the name of a round.

    A name that is short, or a common word of cards and recipes, counts only where it is quoted as SQL quotes texts.

    Args:
        store: the store, whose `verdicts` have the names.
        files: path there -> the file here, or its content.

    Raises:
        VersionError: a file holds such a name; tells the file and the place.
    """
    if not (wanted := _names(store)):
        return
    for place, text in _texts(files):
        if found := next((name for name, pattern in wanted.items() if pattern.search(text)), None):
            raise VersionError(f"{place}: found the annotator's name {found!r}; {REMEDY}")


def _names(store: Store) -> dict[str, re.Pattern[str]]:
    """Return each name and id of an annotator, with the pattern that finds it."""
    held = store.rows("SELECT DISTINCT unnest([annotator, annotator_name]) AS name FROM raw.verdicts ORDER BY 1")
    names = [name for row in held if (name := (row["name"] or "").strip()) and not re.match(PSEUDONYM, name)]
    return {name: re.compile(_pattern(name), re.I) for name in names}


def _pattern(name: str) -> str:
    """Return what finds a name as a whole word; as any part of a text where its script sets no words apart."""
    letters = sum(c.isalpha() for c in name)
    if letters < (SHORT if name.isascii() else 2) or name.lower() in _common():
        return f"'{re.escape(name)}'"
    return rf"(?<![^\W_]){re.escape(name)}(?![^\W_])" if name.lower() != name.upper() else re.escape(name)


def _texts(files: Mapping[str, Path | bytes]) -> Iterator[tuple[str, str]]:
    """Yield each line of the texts but for those of the card's template, and each round, with its place."""
    for name, source in sorted(files.items()):
        if name.startswith("annotations/") and isinstance(source, Path):
            told = pq.read_table(source, columns=["round"])["round"].unique().to_pylist()
            yield from ((f"{name}, column round", text) for text in told if text)
        elif not name.endswith(".parquet"):
            text = source.decode() if isinstance(source, bytes) else source.read_text("utf-8")
            plain = ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else " ", text) if name.endswith("json") else text
            lines = enumerate(plain.split("\n"), 1)
            yield from ((f"{name}, line {n}", line) for n, line in lines if line not in _fixed())


@cache
def _fixed() -> frozenset[str]:
    """Return the lines of the cards' templates: people whom we cite are in them."""
    return frozenset(line for file in _own("*.j2", datasets_cards) for line in file.read_text("utf-8").splitlines())


@cache
def _common() -> frozenset[str]:
    """Return the words, in small letters, of what cards and recipes are made of."""
    own = [*_own("*.j2", datasets_cards), *_own("*.sql", rows), *_own("*.txt", rows)]
    described = [about for _, about in (*rows.COLUMNS.values(), *reviews.COLUMNS.values())]
    text = "\n".join([*(file.read_text("utf-8") for file in own), *described])
    return frozenset(re.findall(r"\b[a-z]+\b", text.replace("_", " ")))


def _own(pattern: str, module: ModuleType) -> list[Path]:
    return sorted(Path(str(module.__file__)).parent.rglob(pattern))
