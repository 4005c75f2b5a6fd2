"""Parameters of a recipe: declared in its leading comment, `-- $n = 500: traces a label`, set by `--set n=100`."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from curation.errors import RecipeError

GIVEN = "split"  # set by the build, for each split anew
DECLARED = re.compile(r"\$(?P<name>[a-z_][a-z0-9_]*) *= *(?P<default>'(?:[^']|'')*'|[^\s:']+) *(?:: *(?P<about>.*))?")
WHOLE = re.compile(r"[+-]?[0-9]{1,18}")

Value = int | float | str


class Parameter(NamedTuple):
    """A parameter as its recipe declares it; its default says what it may be: a whole number, a number or a text."""

    name: str
    default: Value
    about: str
    line: int


def leading(sql: str) -> list[tuple[int, str]]:
    """Return the lines of a recipe's leading comment, each with its number, without their dashes."""
    found = []
    for n, line in enumerate(sql.splitlines(), 1):
        if line.strip() and not line.startswith("--"):
            break
        if line.strip():
            found.append((n, line.lstrip("-").strip()))
    return found


def about(sql: str) -> str:
    """Return what a recipe's leading comment says of it, without the parameters."""
    return " ".join(text for _, text in leading(sql) if not text.startswith("$"))


def declared(sql: str, file: str) -> dict[str, Parameter]:
    """Return the parameters that a recipe declares, by name.

    Raises:
        RecipeError: a line that begins as a declaration and is none, or a name that is taken.
    """
    found: dict[str, Parameter] = {}
    for n, text in leading(sql):
        if not text.startswith("$"):
            continue
        parts = DECLARED.fullmatch(text)
        default = _literal(parts["default"]) if parts else None
        if parts is None or default is None:
            raise RecipeError(
                f"{file}:{n}: no declaration of a parameter: {text[:60]}; wanted $name = 500: what it is, "
                "the name in small letters, a text in quotes"
            )
        name = parts["name"]
        if name == GIVEN or name in found:
            raise RecipeError(f"{file}:{n}: ${name} is {'set by the build' if name == GIVEN else 'declared twice'}")
        found[name] = Parameter(name, default, (parts["about"] or "").strip(), n)
    return found


def bind(parameters: Mapping[str, Parameter], given: Mapping[str, object] | None, file: str) -> dict[str, Value]:
    """Return the value of each parameter: what is given, else its default.

    Args:
        parameters: those that are declared.
        given: values by name; a text that stands for a number is read as one.
        file: the recipe, for the error.

    Raises:
        RecipeError: a name that is not declared, or a value of another type than the default.
    """
    given = given or {}
    for name in given:
        if name not in parameters:
            raise RecipeError(f"{file}: it has no parameter {name}{nearest(name, parameters)}; {known(parameters)}")
    return {p.name: _typed(p, given[p.name], file) if p.name in given else p.default for p in parameters.values()}


def known(parameters: Iterable[str]) -> str:
    """Say which parameters there are."""
    names = [f"${name}" for name in parameters]
    return f"it declares {', '.join(names)}" if names else "it declares none"


def nearest(name: str, among: Iterable[str]) -> str:
    """Return a question that names the nearest, or nothing."""
    close = difflib.get_close_matches(name, list(among), 1, 0.5)
    return f", did you mean {close[0]}?" if close else ""


def _literal(text: str) -> Value | None:
    """Read a default as SQL would; None if it is neither a number nor a text in quotes."""
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    return _number(text)


def _number(text: str) -> int | float | None:
    if WHOLE.fullmatch(text):
        return int(text)
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _typed(parameter: Parameter, value: object, file: str) -> Value:
    """Return a value as the type of the default; a text such as `500` may stand for a number, and never the reverse."""
    if isinstance(parameter.default, str):
        if isinstance(value, str):
            return value
        wanted = "a text"
    else:
        whole = isinstance(parameter.default, int)
        number = None if isinstance(value, bool) else _number(str(value).strip())
        if number is not None and (isinstance(number, int) or not whole):
            return number if whole else float(number)
        wanted = "a whole number" if whole else "a number"
    raise RecipeError(f"{file}: {parameter.name}={value}: wanted {wanted}, as its default {parameter.default!r} is")
