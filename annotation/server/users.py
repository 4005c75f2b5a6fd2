"""Who may use the annotation server: read from a file, or asked for; and which passwords are too weak for a network."""

from __future__ import annotations

import csv
import getpass
import io
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from curation.errors import BadInput

ROLES = ("owner", "annotator")
FEWEST, MOST = 8, 72  # what Argilla takes, and the bytes that bcrypt looks at
STRONG = 12  # characters
GUESSED = ("password", "argilla", "synthpert", "annotat", "qwert", "letmein", "welcome", "admin", "1234", "abcd")


class User(NamedTuple):
    """A user; with no password, a new one is given a strong one that is told once, and a known one keeps theirs."""

    username: str
    role: str
    password: str | None = None


def read(file: Path | str) -> list[User]:
    """Read users from a CSV file with the columns username, role and password, or a TOML file of [[users]] with these.

    Raises:
        BadInput: the file is neither, or a user in it is none, with the line.
    """
    file = Path(file)
    try:
        text = file.read_text("utf-8-sig")
        rows = _toml(file, text) if file.suffix.lower() == ".toml" else _csv(file, text)
    except (OSError, UnicodeDecodeError) as e:
        raise BadInput.at(file, getattr(e, "strerror", None) or str(e), "a file of users") from e
    users = [_user(row, f"{file}, {place}") for place, row in rows]
    names = [user.username for user in users]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadInput(f"{file}: the user {twice} stands there twice")
    if not users:
        raise BadInput.at(file, "no user", "one user a line")
    return users


def ask() -> list[User]:
    """Ask at the terminal for an owner and annotators; where there is none, take one of each, to be given passwords."""
    if not sys.stdin.isatty():
        return [User("owner", "owner"), User("expert", "annotator")]
    name = _line("Your own user name, as owner [owner]: ") or "owner"
    owner = _user({"username": name, "role": "owner", "password": _password()}, "the owner")
    others = _line("User names of annotators, separated by spaces, or nothing: ").replace(",", " ").split()
    return [owner, *(_user({"username": n, "role": "annotator"}, n) for n in dict.fromkeys(others) if n != name)]


def weak(users: Iterable[User]) -> list[str]:
    """Return the names of those whose given password is too weak where others reach the server."""
    return [user.username for user in users if user.password and _is_weak(user.username, user.password)]


def _is_weak(name: str, password: str) -> bool:
    low = password.casefold()
    return (
        len(password) < STRONG
        or len(set(password)) < STRONG // 2
        or name.casefold() in low
        or any(low.startswith(word) for word in GUESSED)
    )


def _toml(file: Path, text: str) -> list[tuple[str, Any]]:
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise BadInput.at(file, f"no TOML ({e})", "[[users]] tables") from e
    rows = found.get("users")
    if set(found) != {"users"} or not isinstance(rows, list):
        raise BadInput.at(file, f"the keys {', '.join(found) or 'none'}", "[[users]] tables")
    return [(f"user {n}", row) for n, row in enumerate(rows, 1)]


def _csv(file: Path, text: str) -> list[tuple[str, Any]]:
    lines = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    head = [name.strip() for name in next(lines, [])]
    if not {"username", "role"} <= set(head):
        raise BadInput.at(file, f"the columns {', '.join(head) or 'none'}", "username, role and password", line=1)
    rows = [(f"line {lines.line_num}", cells) for cells in lines if any(cells)]
    for place, cells in rows:
        if len(cells) != len(head):
            raise BadInput(f"{file}, {place}: found {len(cells)} cells, wanted {len(head)}")
    return [(place, dict(zip(head, cells, strict=True))) for place, cells in rows]


def _user(row: Any, place: str) -> User:
    """Return the user of a row; a password is never repeated in what is said."""
    if not isinstance(row, dict) or not all(isinstance(value, str) for value in row.values()):
        raise BadInput(f"{place}: wanted username, role and password, each a text")
    if unknown := sorted(set(row) - {"username", "role", "password"}):
        raise BadInput(f"{place}: found {unknown[0]}, wanted username, role and password")
    name, role, password = row.get("username", "").strip(), row.get("role", ""), row.get("password") or None
    if not name:
        raise BadInput(f"{place}: a user without a username")
    if role not in ROLES:
        raise BadInput(f"{place}: found the role {role or '(none)'} of {name}, wanted {' or '.join(ROLES)}")
    if password and not (len(password) >= FEWEST and len(password.encode()) <= MOST):
        raise BadInput(f"{place}: the password of {name} is not of {FEWEST} to {MOST} characters")
    return User(name, role, password)


def _password() -> str:
    while True:
        password = getpass.getpass("Password (nothing: one is made): ", sys.stderr)
        if password == getpass.getpass("The same again: ", sys.stderr):
            return password
        print("These differ.", file=sys.stderr)


def _line(question: str) -> str:
    """Ask on stderr: stdout carries results alone."""
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
