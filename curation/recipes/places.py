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
WINDOW = "cannot contain window functions"
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
    if error.line:
        return RecipeError(f"{file}:{error.line}: {said}, at: {_words(error.words)}")
    for macro, offset in _calls(sql):  # what is wrong within a macro has no place of DuckDB's
        if name:
            return at(file, sql, offset, f"{said} ({macro} works on a column {name})")
        if WINDOW in said and "OVER (" in macros.texts()[macro]:
            return at(file, sql, offset, f"{macro} stands after QUALIFY: {said}")
        if f"{macro}(" in said:
            return at(file, sql, offset, said)
    return RecipeError(f"{file}: {said}")


def _near(name: str, said: str, columns: Iterable[str]) -> str:
    bindings = BINDINGS.search(said)
    among = dict.fromkeys([*(re.findall(r'"(\w+)"', bindings[1]) if bindings else ()), *sorted(columns)])
    close = [c for c in get_close_matches(name.lower(), among, 4, 0.6) if c != name.lower()][:3]
    return f"; nearest: {', '.join(close)}" if close else ""


def _calls(sql: str) -> list[tuple[str, int]]:
    """Return the macros that a recipe calls, each with the place of its first call."""
    code = re.sub(r"--[^\n]*", lambda comment: " " * len(comment[0]), sql)
    found = [(m, re.search(rf"\b{m}\s*\(", code, re.I)) for m in macros.texts()]
    return sorted(((m, call.start()) for m, call in found if call), key=lambda pair: pair[1])


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
