"""Places: what is wrong with a recipe, told in one line that begins with FILE:LINE and ends with the words there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from curation import macros
from curation.errors import RecipeError, RefusedSQL

WORDS = 60  # characters at most
UNKNOWN = re.compile(r'Referenced column "?(\w+)"? (?:was )?not found|does not have a column named "(\w+)"')
AMBIGUOUS = re.compile(r'Ambiguous reference to column name "(\w+)"')
BINDINGS = re.compile(r"Candidate bindings: (.*)")


def at(file: str, sql: str, offset: int, said: str) -> RecipeError:
    """Return the error that a place, counted in characters, stands for."""
    line = sql.count("\n", 0, offset) + 1
    return RecipeError(f"{file}:{line}: {said}, at: {_words(sql[offset:])}")


def at_clause(file: str, sql: str, said: str, *clauses: str) -> RecipeError:
    """Return the error that stands at a clause of the outermost SELECT: the last of those named, else at its SELECT."""
    places = dict(_outermost(sql))
    found = [places[c] for c in clauses if c in places] or [places.get("SELECT", 0)]
    return at(file, sql, max(found), said)


def at_name(file: str, sql: str, name: str, said: str) -> RecipeError:
    """Return the error that stands where a $name is first used."""
    import duckdb

    raw = sql.encode()
    for place, _ in duckdb.tokenize(sql):  # places are in bytes
        if re.match(rf"\${name}\b".encode(), raw[place:], re.I):
            return at(file, sql, len(raw[:place].decode()), said)
    return RecipeError(f"{file}: {said}")


def refused(file: str, sql: str, error: RefusedSQL, columns: Iterable[str] = ()) -> RecipeError:
    """Return DuckDB's refusal of a recipe as such a line; for an unknown column with the nearest that are known.

    Args:
        file: the recipe.
        sql: its text.
        error: the refusal.
        columns: names of the columns of the views that it reads.
    """
    said = error.said
    unknown, ambiguous = UNKNOWN.search(said), AMBIGUOUS.search(said)
    name = next((n for m in (unknown, ambiguous) if m for n in m.groups() if n), None)
    if unknown and name:
        said = f"there is no column {name} here{_near(name, said, columns)}"
    # where a macro's own text is at fault, DuckDB's place is one in that text, not in the recipe's
    if error.line and (not name or re.match(rf"\W?(\w+\W+)?{name}\b", error.words, re.I)):
        return RecipeError(f"{file}:{error.line}: {said}, at: {_words(error.words)}")
    used = _macros(sql) if name else ()
    return RecipeError(f"{file}: {said}{f' ({name} is what {used[0]} works on)' if used else ''}")


def _near(name: str, said: str, columns: Iterable[str]) -> str:
    bindings = BINDINGS.search(said)
    among = dict.fromkeys([*(re.findall(r'"(\w+)"', bindings[1]) if bindings else ()), *sorted(columns)])
    close = get_close_matches(name.lower(), among, 3, 0.5)
    return f"; nearest: {', '.join(close)}" if close else ""


def _macros(sql: str) -> list[str]:
    return [m for m in macros.texts() if re.search(rf"\b{m}\s*\(", re.sub(r"--[^\n]*", " ", sql), re.I)]


def _words(text: str) -> str:
    line = text.strip().split("\n")[0].strip()
    return line if len(line) <= WORDS else line[: WORDS - 3] + "..."


def _outermost(sql: str) -> list[tuple[str, int]]:
    """Return the keywords that stand outside all brackets, each with its place in characters."""
    import duckdb

    raw, depth, found = sql.encode(), 0, []
    for place, kind in duckdb.tokenize(sql):
        if kind == duckdb.token_type.operator:
            depth += {b"(": 1, b")": -1}.get(raw[place : place + 1], 0)
        elif kind == duckdb.token_type.keyword and not depth:
            word = re.match(rb"\w+", raw[place:])
            found.append((word[0].decode().upper() if word else "", len(raw[:place].decode())))
    return found
